"""What three real servers answered when one or two of them were away.

The texts are answers of nats-server 2.15.1 to STREAM.INFO and CONSUMER.LIST, three nodes, R3.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from jetmesh.operate.asking.answers import Cluster, StreamInfo
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.facts import Facts
from tests.unit.operate.doctor.doctored import ID, STREAM, facts, stream

WELL: Final = """
{"name": "C3", "raft_group": "S-R3F-frQHYRgC", "leader": "b",
 "leader_since": "2026-11-23T15:45:51.237272118Z", "system_account": true,
 "traffic_account": "$SYS", "replicas": [
  {"name": "a", "current": true, "active": 987874616, "peer": "GR5IGR3G"},
  {"name": "c", "current": true, "active": 987935236, "peer": "k1i3jIye"}]}
"""
JUST_MADE: Final = """
{"name": "C3", "raft_group": "S-R3F-frQHYRgC", "leader": "b",
 "leader_since": "2026-11-23T15:45:51.237272118Z", "replicas": [
  {"name": "a", "current": false, "active": 0, "lag": 1, "peer": "GR5IGR3G"},
  {"name": "c", "current": true, "active": 227423, "peer": "k1i3jIye"}]}
"""
STOPPED_JUST_NOW: Final = """
{"name": "C3", "raft_group": "S-R3F-frQHYRgC", "leader": "b",
 "leader_since": "2026-11-23T15:45:51.237272118Z", "replicas": [
  {"name": "a", "current": false, "active": 1513448602, "lag": 13, "peer": "GR5IGR3G"},
  {"name": "c", "current": true, "active": 1246314860, "peer": "k1i3jIye"}]}
"""
STOPPED: Final = STOPPED_JUST_NOW.replace("1513448602", "13710306199")
"""SIGSTOP, 14 s later."""
KILLED: Final = """
{"name": "C3", "raft_group": "S-R3F-frQHYRgC", "leader": "b",
 "leader_since": "2026-11-23T15:46:26.353076479Z", "replicas": [
  {"name": "a", "current": false, "active": 12607750577, "peer": "GR5IGR3G"},
  {"name": "c", "current": true, "active": 607966311, "peer": "k1i3jIye"}]}
"""
ENDED: Final = """
{"name": "C3", "raft_group": "S-R3F-frQHYRgC", "leader": "b",
 "leader_since": "2026-11-23T15:47:43.764278352Z", "replicas": [
  {"name": "a", "current": true, "offline": true, "active": 3325963254, "peer": "GR5IGR3G"},
  {"name": "c", "current": true, "active": 325887029, "peer": "k1i3jIye"}]}
"""
"""SIGTERM, 3 s later: offline, and yet current."""
TWO_KILLED: Final = """
{"name": "C3", "raft_group": "S-R3F-frQHYRgC", "system_account": true,
 "traffic_account": "$SYS", "replicas": [
  {"name": "a", "current": false, "active": 35119114937, "peer": "GR5IGR3G"},
  {"name": "b", "current": false, "active": 53124700617, "peer": "0ZkM0vRC"},
  {"name": "c", "current": false, "active": 23119330671, "peer": "k1i3jIye"}]}
"""
ALONE: Final = '{"leader": "one"}'
ONE_REPLICA: Final = '{"name": "C3", "leader": "c"}'
WHOLE: Final = """
{"type": "io.nats.jetstream.api.v1.stream_info_response", "total": 0, "offset": 0, "limit": 0,
 "config": {"name": "S", "subjects": ["s.>"], "retention": "limits", "max_consumers": -1,
  "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1, "max_msg_size": -1,
  "discard": "old", "storage": "file", "num_replicas": 3, "duplicate_window": 120000000000,
  "compression": "none", "allow_direct": false, "mirror_direct": false, "sealed": false,
  "deny_delete": false, "deny_purge": false, "allow_rollup_hdrs": false, "consumer_limits": {},
  "allow_msg_ttl": false, "metadata": {"_nats.level": "5", "_nats.req.level": "0"}},
 "created": "2026-11-23T15:45:51.169533212Z",
 "state": {"messages": 3000, "bytes": 3099000, "first_seq": 1,
  "first_ts": "2026-11-23T15:46:12.409492676Z", "last_seq": 3000,
  "last_ts": "2026-11-23T15:46:12.442414231Z", "num_subjects": 1, "consumer_count": 1},
 "cluster": {"name": "C3", "leader": "b", "replicas": []}, "ts": "2026-11-23T15:46:13.750811249Z"}
"""


def seen(text: str, before: str | None = None) -> Facts:
    return facts(kept(text), kept(text if before is None else before))


def kept(text: str) -> dict[str, Any]:
    cluster = msgspec.json.decode(text, type=Cluster)
    return {"streams": {STREAM: stream(STREAM, cluster=cluster)}}


@pytest.mark.parametrize(
    ("answer", "before", "code"),
    [
        (WELL, WELL, ""),
        (ALONE, ALONE, ""),
        (ONE_REPLICA, ONE_REPLICA, ""),
        (JUST_MADE, WELL, ""),
        (STOPPED_JUST_NOW, WELL, ""),
        (STOPPED_JUST_NOW, STOPPED_JUST_NOW, "follower-behind"),
        (STOPPED, WELL, "follower-offline"),
        (KILLED, WELL, "follower-offline"),
        (ENDED, WELL, "follower-offline"),
        (TWO_KILLED, WELL, "no-leader"),
    ],
)
def test_what_servers_say_of_one_another(answer: str, before: str, code: str) -> None:
    assert [finding.code for finding in findings(seen(answer, before))] == ([code] if code else [])


def test_the_follower_is_named_with_what_it_lacks() -> None:
    (finding,) = findings(seen(STOPPED_JUST_NOW))
    assert finding.about == "a"
    assert finding.evidence == (
        "replicas of stream DOCTORED",
        "last heard of 1.5 s ago",
        "up to 13 entries behind",
    )


def test_without_a_leader_everyone_is_named_as_the_last_one_heard_of_them() -> None:
    (finding,) = findings(seen(TWO_KILLED))
    assert finding.evidence[0] == "a: heard of 35 s ago"


def test_the_only_server_of_a_stream_is_away() -> None:
    """STREAM.INFO is not answered, CONSUMER.LIST lists its durable as missing."""
    now = {"silent": {STREAM: "no answer (TimeoutError)."}, "without_leader": (ID,)}
    (finding,) = findings(facts(now))
    assert (finding.code, finding.about) == ("stream-silent", STREAM)


def test_a_whole_answer_is_read() -> None:
    info = msgspec.json.decode(WHOLE, type=StreamInfo)
    assert (info.config.num_replicas, info.config.duplicate_window) == (3, 120_000_000_000)
    assert (info.state.bytes, info.state.last_seq) == (3_099_000, 3000)
    assert info.ts.startswith("2026-11-23T15:46:13")
