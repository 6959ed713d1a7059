"""Run the business dashboard."""

from jetmesh import run
from shop.business_dashboard import service

if __name__ == "__main__":
    run(service)
