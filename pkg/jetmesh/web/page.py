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

_OWN: Final = Path(__file__).parent / "static"
_TEMPLATES: Final = Path(__file__).parent / "templates"
_safe: Final = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
# No script, style or connection but our own: markup that slips through is still not run.
_policy: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Pages:
    """The templates of `folder/templates`, and the files of `folder/static` that they link to.

    `live.js` and `login.html` are there without being in the folder; a file of that name takes the
    place of either.
    """

    def __init__(self, folder: Path) -> None:
        self._templates = Environment(
            loader=FileSystemLoader([folder / "templates", _TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._files = {
            path.name: path.read_bytes()
            for files in (_OWN, folder / "static")
            if files.is_dir()
            for path in files.iterdir()
            if path.is_file()
        }

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
