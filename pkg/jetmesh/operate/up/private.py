"""Files that their owner alone may read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Replace a file at once: a reader sees the old one or the new one.

    Raises:
        OSError: its directory cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.stem}-")  # with mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
