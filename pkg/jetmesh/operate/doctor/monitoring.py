"""What only the monitoring port of a server tells, and /readyz of processes on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import httpx
import msgspec

from jetmesh.operate.asking.answers import Varz
from jetmesh.operate.doctor.facts import FailedQuery, ServerStatus
from jetmesh.protocol.content import UNDECODED
from jetmesh.settings import without_userinfo

_ANSWER_SECONDS: Final = 3.0
_LONGEST_REASON: Final = 300


async def server_statuses(
    urls: Sequence[str],
) -> tuple[tuple[ServerStatus, ...], list[FailedQuery]]:
    """What each monitoring port says, and those that say nothing."""
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
        each = await asyncio.gather(*(_server_status(client, url.rstrip("/")) for url in urls))
    return (
        tuple(found for found in each if isinstance(found, ServerStatus)),
        [found for found in each if isinstance(found, FailedQuery)],
    )


async def not_ready(processes: Mapping[str, str]) -> dict[str, str]:
    """The processes that are not ready, and why; `processes` has their urls by name."""
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
        reasons = await asyncio.gather(*(_readyz(client, url) for url in processes.values()))
    return {name: text for name, text in zip(processes, reasons, strict=True) if text}


async def _server_status(client: httpx.AsyncClient, url: str) -> ServerStatus | FailedQuery:
    shown = without_userinfo(url)
    try:
        answer = await client.get(f"{url}/varz")
        varz = msgspec.json.decode(answer.raise_for_status().content, type=Varz)
        health = await client.get(f"{url}/healthz")
    except httpx.HTTPStatusError as error:  # its text holds the url
        answered = f"/varz answers {error.response.status_code}"
        return FailedQuery(f"the monitoring port {shown}", answered)
    except (httpx.HTTPError, httpx.InvalidURL, *UNDECODED) as error:
        return FailedQuery(f"the monitoring port {shown}", str(error) or type(error).__name__)
    return ServerStatus(shown, varz, "" if health.is_success else _reason(health))


async def _readyz(client: httpx.AsyncClient, url: str) -> str:
    try:
        answer = await client.get(f"{url}/readyz")
    except (httpx.HTTPError, httpx.InvalidURL):
        return ""
    return "" if answer.is_success else "; ".join(answer.text.split("\n")).strip("; ")


def _reason(answer: httpx.Response) -> str:
    try:
        health = msgspec.json.decode(answer.content, type=dict[str, object])
    except UNDECODED:
        return f"/healthz answers {answer.status_code}"
    return f"/healthz: {str(health.get('error', health.get('status', '')))[:_LONGEST_REASON]}"
