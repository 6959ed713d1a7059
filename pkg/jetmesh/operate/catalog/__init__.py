"""The contracts as pages: each event, its fields, who sends it and who reads which field.

Plain HTML without scripts, which is read from a folder as well as from a server.
"""
