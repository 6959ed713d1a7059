"""Run order validation."""

from jetmesh.run import run
from shop.order_validation import service

if __name__ == "__main__":
    run(service)
