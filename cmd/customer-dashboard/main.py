"""Run the customer dashboard."""

from jetmesh.run import run
from shop.customer_dashboard import service

if __name__ == "__main__":
    run(service)
