"""Show the pages of the contracts on this machine, as `jetmesh up` does."""

from __future__ import annotations

import mimetypes
import os
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jetmesh.operate.catalog.place import FOLDER, PORT

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # they change while one works
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}


class _Files(StaticFiles):
    """Files of a folder that may come later."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response


async def _well(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def app(folder: str) -> Starlette:
    """The pages in `folder`, for whoever asks this machine by its own name."""
    mimetypes.add_type("text/plain", ".yaml")  # shown, not saved
    files = _Files(directory=folder, html=True, check_dir=False)
    here = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=[Route("/healthz", _well), Mount("/", files)], middleware=[here])


if __name__ == "__main__":
    uvicorn.run(
        app(os.environ[FOLDER]),
        host="127.0.0.1",
        port=int(os.environ[PORT]),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
