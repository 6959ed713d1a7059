"""The only place that touches a network: the data plane, the control plane, provisioning."""
