"""What the server says when it does not do what it is asked to."""

from __future__ import annotations

from jetmesh.transport.stored import Reason


class Refused(Exception):  # noqa: N818 - it is the server's answer, and no fault of ours
    """An error of the JetStream API: `code` as in HTTP, `err_code` says exactly which."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(description)
        self.reason = Reason(code, err_code, description)


def no_stream() -> Refused:
    return Refused(404, 10059, "stream not found")


def no_durable() -> Refused:
    return Refused(404, 10014, "consumer not found")


def no_message() -> Refused:
    return Refused(404, 10037, "no message found")
