"""What is each service's own, where several share a process."""

from __future__ import annotations

import threading

import pytest
import structlog

from jetmesh.errors import SettingsError
from jetmesh.runtime.message.threads import Threads
from jetmesh.settings.together import environ_of, packed


def test_each_service_gets_back_the_environment_that_was_packed() -> None:
    common = {"PATH": "/bin", "JETMESH__NATS__URL": "nats://a"}
    own = {
        "order-desk": {**common, "JETMESH__HTTP__PORT": "1", "ONLY": "here"},
        "mail": {**common, "JETMESH__HTTP__PORT": "2"},
    }
    environ = packed(own)
    assert environ.keys() - common.keys() == {"JETMESH_OF_ORDER_DESK", "JETMESH_OF_MAIL"}
    for name, wanted in own.items():
        found = environ_of(name, environ)
        assert {n: found[n] for n in wanted} == wanted
    assert "ONLY" not in environ_of("mail", environ)


def test_a_service_alone_has_the_environment_of_its_process() -> None:
    assert environ_of("mail", {"A": "1"}) == {"A": "1"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"A": 1}', "\udcff"])
def test_what_somebody_else_wrote_there_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="JETMESH_OF_MAIL cannot be read") as refused:
        environ_of("mail", {"JETMESH_OF_MAIL": text})
    assert refused.value.remedy


async def test_what_a_handler_logs_in_a_thread_has_the_name_of_its_service() -> None:
    threads = Threads("mail.send", 1)

    def call() -> tuple[str, str]:
        about = structlog.contextvars.get_contextvars()
        return about["service"], threading.current_thread().name

    found = {}
    for name in ("mail", "desk"):
        with structlog.contextvars.bound_contextvars(service=name):
            (found[name], thread), failure = await threads.call(call)
        assert (thread, failure) == ("mail.send-0", None)
    assert found == {"mail": "mail", "desk": "desk"}
    threads.close()
