"""Run loyalty."""

from jetmesh import run
from shop.loyalty import service

if __name__ == "__main__":
    run(service)
