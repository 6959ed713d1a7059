"""Run notifications."""

from jetmesh import run
from shop.notifications import service

if __name__ == "__main__":
    run(service)
