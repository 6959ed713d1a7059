"""Run the customer dashboard."""

from jetmesh import run
from shop.customer_dashboard import service

if __name__ == "__main__":
    run(service)
