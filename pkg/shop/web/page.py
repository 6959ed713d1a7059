"""Pages from templates, and the files they need, kept in memory and served from there."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_here = Path(__file__).parent
_safe: Final = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
# No script, style or connection but our own: markup that slips through is still not run.
_policy: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Pages:
    """The templates and static files of the shop's pages."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_here / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._files = {path.name: path.read_bytes() for path in (_here / "static").iterdir()}

    @property
    def static(self) -> Route:
        """The route of everything that pages link to."""
        return Route("/static/{name}", self._file)

    def show(
        self, template: str, values: Mapping[str, Any] | None = None, *, status: int = 200
    ) -> Response:
        """The page that `template` makes of `values`, every one of them escaped."""
        text = self._templates.get_template(template).render(values or {})
        headers = {**_safe, "content-security-policy": _policy, "cache-control": "no-store"}
        return Response(text, status, headers, "text/html")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        content = self._files.get(name)
        if content is None:
            return PlainTextResponse("There is no such file.\n", 404, _safe)
        kind = mimetypes.guess_type(name)[0]
        return Response(content, 200, {**_safe, "cache-control": "no-cache"}, kind)
