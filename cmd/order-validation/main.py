"""Run order validation."""

from jetmesh import run
from shop.order_validation import service

if __name__ == "__main__":
    run(service)
