"""The shop as one system: the one place where its deployables are listed."""

from __future__ import annotations

from jetmesh import Sandbox, System

system = System(
    "shop",
    services=(
        "shop.order_validation",
        "shop.payments",
        "shop.notifications",
        "shop.business_dashboard",
        "shop.customer_dashboard",
        "shop.storefront",
    ),
    sandboxes=(
        Sandbox(
            "sandbox-gateway",
            ports={"http": 8090},
            environment={
                "JETMESH__SERVICES__PAYMENTS__SETTINGS__GATEWAY_URL": "http://127.0.0.1:{http}"
            },
            title="payment gateway (sandbox)",
        ),
        Sandbox(
            "sandbox-mail",
            ports={"http": 8091, "smtp": 1025},
            environment={"JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__SMTP_PORT": "{smtp}"},
            title="mail (sandbox)",
        ),
    ),
    environment={
        "JETMESH__SERVICES__BUSINESS_DASHBOARD__SETTINGS__CUSTOMER_DASHBOARD_URL": (
            "{customer-dashboard}"
        ),
        "JETMESH__SERVICES__STOREFRONT__SETTINGS__CUSTOMER_DASHBOARD_URL": "{customer-dashboard}",
    },
)
