"""jetmesh with traces: `python -m peers.jetmesh_traced 0.01 process` keeps one trace in a hundred.

They go to a sink of their own process, which answers and forgets.
"""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(BaseHTTPRequestHandler):
    """Takes every request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read it and say yes."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def sink() -> None:
    """Answer until the standard input ends; print the port first."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_port, flush=True)
    server.serve_forever()


def main(ratio: str, workload: str) -> None:
    """Run the workload, traced."""
    with subprocess.Popen(
        [sys.executable, "-m", "peers.jetmesh_traced", "sink"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        port = process.stdout.readline().strip()
        os.environ |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": ratio,
        }
        from jetmesh import run  # noqa: PLC0415 - it reads the variables
        from peers.jetmesh_app import SERVICES  # noqa: PLC0415 - the same

        try:
            run(SERVICES[workload])
        finally:
            process.terminate()


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink()
    else:
        main(sys.argv[1], sys.argv[2])
