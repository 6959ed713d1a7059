"""A small disk for each node, that can be filled to the last byte."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from tests.cluster.chaos.processes import run

_BALLAST: Final = "ballast"
_OURS: Final = re.compile(r"jm(\d+)disk (\S+) tmpfs")


class Disk:
    """A tmpfs of limited size, mounted by `make` and unmounted by `remove`."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.folder = folder
        self._mebibytes = mebibytes

    def make(self) -> None:
        """Mount it.

        Raises:
            RuntimeError: the kernel refuses.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        name, size = f"jm{os.getpid()}disk", f"size={self._mebibytes}m"
        run("mount", "-t", "tmpfs", "-o", size, name, str(self.folder))

    def remove(self) -> None:
        """Unmount it; lazily, should anybody still have a file open."""
        with contextlib.suppress(RuntimeError):
            run("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.folder / _BALLAST).open("wb") as ballast:
            for step in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):  # no space left: as meant
                    for _ in range(self._mebibytes << 8):
                        os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), step)

    def free(self) -> None:
        """Give the room back."""
        (self.folder / _BALLAST).unlink(missing_ok=True)


def remove_left_overs() -> None:
    """Unmount the disks of runs that were killed."""
    for found in _OURS.finditer(Path("/proc/mounts").read_text()):
        if not Path(f"/proc/{found[1]}").exists():
            with contextlib.suppress(RuntimeError):
                run("umount", "--lazy", found[2])
