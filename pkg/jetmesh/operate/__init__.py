"""What people and deployments do with a mesh; each command of `jetmesh` has its work in here.

Begin        scaffold, project, up
Publish      publish, example
Look         trace, states, processes, deadlines, logs, audit, graph, doctor (asking, undeclared)
Mend         deadletters, heal, order
Contracts    contracts, schemas, asyncapi, catalog, evolution, candeploy
Deploy       apply, ceilings, deploy, helm, identities
For others   generated, humanize, summary
"""
