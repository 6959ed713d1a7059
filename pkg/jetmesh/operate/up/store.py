"""A store that a broker without accounts wrote: its streams move to the account of the mesh."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from jetmesh.errors import UsageError
from jetmesh.operate.identities import ACCOUNT

_BEFORE: Final = "$G"
"""Where a server without accounts has them; a server with accounts does not look there."""


def move_streams(store: Path) -> bool:
    """Move streams to ACCOUNT, with all they hold; whether there were any to move.

    Sequences, durables, ids and what is in flight are in the files of a stream, and no file names
    the account. The server must not run. It is one rename: done or not done.

    Raises:
        UsageError: there are streams in both, or the directory cannot be written.
    """
    old, new = (store / "jetstream" / account for account in (_BEFORE, ACCOUNT))
    if not _streams(old):
        return False
    if _streams(new):
        raise UsageError(
            f"{store} holds streams in {old.name} and in {new.name}, and only one of them can be "
            "those of this mesh.",
            remedy=f"Move {old} away to go on with {new.name}, or {new} to go on with {old.name}.",
        )
    try:
        if new.exists():
            shutil.rmtree(new)
        old.rename(new)
    except OSError as error:
        raise UsageError(
            f"The streams in {old} cannot be moved to {new}: {error.strerror}.",
            remedy="Change the permissions of the store, or move the directory by hand.",
        ) from error
    return True


def _streams(account: Path) -> list[Path]:
    folder = account / "streams"
    return list(folder.iterdir()) if folder.is_dir() else []
