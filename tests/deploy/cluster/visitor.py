"""Runs in a pod: look at a page again and again until SIGTERM; print what was not answered."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.request

SECONDS = 20
VISITORS = 4


def main() -> None:
    """From a new connection each time, as people behind a Service come."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    failed: list[str] = []
    answered: list[float] = []

    def look() -> None:
        while not ended.is_set():
            began = time.monotonic()
            try:
                with urllib.request.urlopen(sys.argv[1], timeout=SECONDS) as answer:  # noqa: S310 - the test's own url
                    answer.read()
                answered.append(time.monotonic() - began)
            except OSError as error:
                failed.append(repr(error))
            time.sleep(0.02)

    visitors = [threading.Thread(target=look) for _ in range(VISITORS)]
    for each in visitors:
        each.start()
    print(json.dumps({"publishing": True}), flush=True)  # noqa: T201 - the test waits for it
    ended.wait()
    for each in visitors:
        each.join()
    print(json.dumps({"answered": len(answered), "failed": failed}), flush=True)  # noqa: T201 - for the test


if __name__ == "__main__":
    main()
