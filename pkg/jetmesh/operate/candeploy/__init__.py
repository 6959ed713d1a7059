"""`jetmesh can-deploy`: can the code of this checkout read what the running broker holds?"""
