"""Parts for pages that show a read model live: templates, their files, updates without reload.

`Pages` renders templates and serves the files they link to, `Live` tells a page the state now and
after every change, `Login` asks who wants to see them, and `/static/live.js` shows it there.
"""

from jetmesh.extras import require

require("web", "jetmesh.web", "jinja2")

from jetmesh.web.live import Fetched, Live, Rendered  # noqa: E402 - only once it is known to work
from jetmesh.web.login import (  # noqa: E402 - as above
    SHORTEST_TOKEN,
    Login,
    client_of,
    is_same_origin,
    read_body,
)
from jetmesh.web.page import Pages  # noqa: E402 - as above

__all__ = [
    "SHORTEST_TOKEN",
    "Fetched",
    "Live",
    "Login",
    "Pages",
    "Rendered",
    "client_of",
    "is_same_origin",
    "read_body",
]
