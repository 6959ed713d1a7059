"""Parts for pages that show a read model live: templates, their files, updates without reload.

`Pages` renders templates and serves the files they link to, `Live` tells a page the state now and
after every change, and `/static/live.js` shows it there.
"""

from jetmesh.extras import require

require("web", "jetmesh.web", "jinja2")

from jetmesh.web.live import Live, Rendered  # noqa: E402 - only once it is known to work
from jetmesh.web.page import Pages  # noqa: E402 - as above

__all__ = ["Live", "Pages", "Rendered"]
