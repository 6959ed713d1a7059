"""What keeps a service from starting, as one sentence that names the line to look at."""

from __future__ import annotations

from jetmesh.errors import StartError
from jetmesh.privacy.mask import masked, name_of, text_of


def failed(what: str, error: BaseException, remedy: str = "") -> StartError:
    """`what`, such as "the resource Gateway (shop/payments.py:31)", ended in `error`."""
    text = masked(text_of(error)).rstrip(".")
    cause = f"{name_of(error)}: {text}" if text else name_of(error)
    return StartError(f"{what} failed: {cause}.", remedy=remedy)
