"""Run payments."""

from jetmesh import run
from shop.payments import service

if __name__ == "__main__":
    run(service)
