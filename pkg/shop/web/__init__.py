"""What the shop's pages share: a frame, its style, and updates without reload."""

from shop.web.live import Live, Rendered
from shop.web.page import Pages

__all__ = ["Live", "Pages", "Rendered"]
