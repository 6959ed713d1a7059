"""Run fulfilment."""

from jetmesh import run
from shop.fulfilment import service

if __name__ == "__main__":
    run(service)
