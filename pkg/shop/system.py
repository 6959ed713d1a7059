"""The shop as one system: the one place where its deployables are listed."""

from __future__ import annotations

from typing import Final

from jetmesh import Sandbox, System

_ACCESS: Final = "JETMESH__SERVICES__BUSINESS_DASHBOARD__SETTINGS__ACCESS_TOKEN"
_LINKING: Final = ("BUSINESS_DASHBOARD", "STOREFRONT", "NOTIFICATIONS")


def _for(setting: str, text: str, *services: str) -> dict[str, str]:
    """One setting of several services."""
    return {f"JETMESH__SERVICES__{service}__SETTINGS__{setting}": text for service in services}


system = System(
    "shop",
    services=(
        "shop.order_validation",
        "shop.payments",
        "shop.fulfilment",
        "shop.notifications",
        "shop.loyalty",
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
            environment={
                "JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__SMTP_PORT": "{smtp}",
                # nobody is really mailed
                "JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__SMTP_SECURITY": "none",
                "JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__HOURLY": "0",
            },
            title="mail (sandbox)",
        ),
    ),
    environment={
        **_for("CUSTOMER_DASHBOARD_URL", "{customer-dashboard}", *_LINKING),
        **_for("LINK_SECRET", "{secret:order-links}", "CUSTOMER_DASHBOARD", *_LINKING),
        _ACCESS: "{secret:business-page}",
        **_for("OPEN", "{open}", "BUSINESS_DASHBOARD"),
        **_for("CONTRACTS_URL", "{contract-pages}", "BUSINESS_DASHBOARD"),
    },
    links={"business-dashboard": f"/?token={{{_ACCESS}}}"},
)
