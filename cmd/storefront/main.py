"""Run the storefront."""

from jetmesh import run
from shop.storefront import service

if __name__ == "__main__":
    run(service)
