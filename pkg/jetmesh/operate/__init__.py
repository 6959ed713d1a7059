"""Plan, supervise, trace, draw and publish: what people and deploys use."""
