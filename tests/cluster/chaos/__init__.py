"""The chaos engine: a cluster of three, the whole shop on it, a steady load, faults, and accounts.

`python -m tests.cluster.chaos --seed 1 --minutes 10` runs it for long; the tests beside it run
each fault once.
"""
