"""Run notifications."""

from jetmesh.run import run
from shop.notifications import service

if __name__ == "__main__":
    run(service)
