"""How many examples Hypothesis tries: few in each run, `TIMES` as many in `make thorough`."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("TIMES", "1"))


def examples(in_each_run: int) -> int:
    return in_each_run * TIMES
