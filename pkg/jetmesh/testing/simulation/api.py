"""The JetStream API, as far as the mesh asks it: `$JS.API.<subject>` with a JSON body."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from jetmesh.protocol.times import time_text
from jetmesh.testing.simulation.log import Kept
from jetmesh.testing.simulation.refused import Refused, no_message
from jetmesh.testing.simulation.server import Server

Body: TypeAlias = Mapping[str, Any]
_Answer: TypeAlias = dict[str, Any]
_LEVEL: Final = 5
"""`api.level` of nats-server 2.15."""


def ask(server: Server, subject: str, body: Body) -> _Answer:
    """What the server answers.

    Raises:
        Refused: it does not do that.
        LookupError: nobody listens on such a subject, in the simulation.
    """
    for start, handle in _HANDLERS.items():
        if subject == start or subject.startswith(f"{start}."):
            names = subject.removeprefix(start).removeprefix(".").split(".")
            return handle(server, names, body)
    raise LookupError(f"$JS.API.{subject} is not simulated")


def _account(_: Server, __: list[str], ___: Body) -> _Answer:
    return {"api": {"level": _LEVEL}}


def _create_stream(server: Server, _: list[str], body: Body) -> _Answer:
    return server.add_stream(body).info()


def _update_stream(server: Server, names: list[str], body: Body) -> _Answer:
    return server.change_stream(names[0], body).info()


def _delete_stream(server: Server, names: list[str], _: Body) -> _Answer:
    server.remove_stream(names[0])
    return {"success": True}


def _stream_info(server: Server, names: list[str], body: Body) -> _Answer:
    return server.stream(names[0]).info(body.get("subjects_filter", ""))


def _stream_names(server: Server, _: list[str], body: Body) -> _Answer:
    found = sorted(server.taking(body.get("subject", ">")))
    return {"streams": found[body.get("offset", 0) :], "total": len(found)}


def _purge(server: Server, names: list[str], body: Body) -> _Answer:
    stream = server.stream(names[0])
    if stream.config.get("deny_purge"):
        raise Refused(500, 10110, "stream purge not permitted")
    gone = stream.purge(body.get("filter") or ">", before=body.get("seq", 0))
    return {"success": True, "purged": gone}


def _message(server: Server, names: list[str], body: Body) -> _Answer:
    log = server.stream(names[0]).log
    if "last_by_subj" in body:
        kept = log.last_on(body["last_by_subj"])
    elif "next_by_subj" in body:
        kept = log.next_on(body["next_by_subj"], body.get("seq", 0))
    else:
        kept = log.get(body["seq"])
    if kept is None:
        raise no_message()
    return {"message": _written(kept)}


def _delete_message(server: Server, names: list[str], body: Body) -> _Answer:
    stream = server.stream(names[0])
    if stream.config.get("deny_delete"):
        raise Refused(500, 10057, "message delete not permitted")
    if stream.log.get(body["seq"]) is None:
        raise no_message()
    stream.remove(body["seq"])
    return {"success": True}


def _create_durable(server: Server, _: list[str], body: Body) -> _Answer:
    """`action` says whether it may be there already; without one that does not matter."""
    stream, config, action = body["stream_name"], body["config"], body.get("action", "")
    found = server.stream(stream).durables.get(config["durable_name"])
    if found is None and action == "update":
        raise Refused(400, 10149, "consumer does not exist")
    if found is None:
        return server.add_durable(stream, config).info(stream)
    if action == "create" and found.config != dict(config):
        raise Refused(400, 10148, "consumer already exists")
    found.configure(config)
    return found.info(stream)


def _durable_info(server: Server, names: list[str], _: Body) -> _Answer:
    stream, name = names
    return server.stream(stream).durable(name).info(stream)


def _reset_durable(server: Server, names: list[str], body: Body) -> _Answer:
    stream, name = names
    durable = server.stream(stream).durable(name)
    durable.reset(body["seq"])
    return durable.info(stream)


def _durables(server: Server, names: list[str], body: Body) -> _Answer:
    found = sorted(server.stream(names[0]).durables.items())[body.get("offset", 0) :]
    told = [durable.info(names[0]) for _, durable in found]
    return {"consumers": told, "total": len(server.stream(names[0]).durables)}


def _delete_durable(server: Server, names: list[str], _: Body) -> _Answer:
    stream, name = names
    server.remove_durable(stream, name)
    return {"success": True}


def _written(kept: Kept) -> _Answer:
    """A message as JSON carries it."""
    at = {"seq": kept.sequence, "subject": kept.subject, "time": time_text(kept.stored_ns)}
    return {
        **at,
        "hdrs": b64encode(kept.headers).decode(),
        "data": b64encode(kept.payload).decode(),
    }


_HANDLERS: Final[dict[str, Callable[[Server, list[str], Body], _Answer]]] = {
    "INFO": _account,
    "STREAM.CREATE": _create_stream,
    "STREAM.UPDATE": _update_stream,
    "STREAM.DELETE": _delete_stream,
    "STREAM.INFO": _stream_info,
    "STREAM.NAMES": _stream_names,
    "STREAM.PURGE": _purge,
    "STREAM.MSG.GET": _message,
    "STREAM.MSG.DELETE": _delete_message,
    "CONSUMER.CREATE": _create_durable,
    "CONSUMER.INFO": _durable_info,
    "CONSUMER.LIST": _durables,
    "CONSUMER.RESET": _reset_durable,
    "CONSUMER.DELETE": _delete_durable,
}
