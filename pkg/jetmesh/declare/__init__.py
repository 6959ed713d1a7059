"""Declarations: pure values that import without a server and without side effects."""

from jetmesh.declare.delivery import Delivery, Record
from jetmesh.declare.derive import derive
from jetmesh.declare.duration import Duration
from jetmesh.declare.event import EventSpec, declared_spec, event, key_of, matches, spec_of
from jetmesh.declare.handler import Handler
from jetmesh.declare.key import escape_key, unescape_key
from jetmesh.declare.later import Cancel, Later, days, hours, minutes, seconds
from jetmesh.declare.losing import Lost
from jetmesh.declare.permissions import Permissions, permissions_of
from jetmesh.declare.policy import Policy
from jetmesh.declare.publishing import Publishing, Stored
from jetmesh.declare.recalling import History, Recalled
from jetmesh.declare.rehearsing import Double, Rehearsed
from jetmesh.declare.replacement import Replacement
from jetmesh.declare.replacing import replaces
from jetmesh.declare.service import Service
from jetmesh.declare.state import Forget, Remembering, StateSpec, state
from jetmesh.declare.supplied import ReadModel, Resource, Web
from jetmesh.declare.system import Sandbox, System
from jetmesh.declare.topology import DurableSpec, SlotSpec, StreamSpec, StreamTuning, Topology
from jetmesh.declare.upcaster import Upcaster
from jetmesh.declare.versions import upcasts
from jetmesh.declare.wrapping import AsyncCall, AsyncWrap, Call, PublishWrap, Wrap

__all__ = [
    "AsyncCall",
    "AsyncWrap",
    "Call",
    "Cancel",
    "Delivery",
    "Double",
    "DurableSpec",
    "Duration",
    "EventSpec",
    "Forget",
    "Handler",
    "History",
    "Later",
    "Lost",
    "Permissions",
    "Policy",
    "PublishWrap",
    "Publishing",
    "ReadModel",
    "Recalled",
    "Record",
    "Rehearsed",
    "Remembering",
    "Replacement",
    "Resource",
    "Sandbox",
    "Service",
    "SlotSpec",
    "StateSpec",
    "Stored",
    "StreamSpec",
    "StreamTuning",
    "System",
    "Topology",
    "Upcaster",
    "Web",
    "Wrap",
    "days",
    "declared_spec",
    "derive",
    "escape_key",
    "event",
    "hours",
    "key_of",
    "matches",
    "minutes",
    "permissions_of",
    "replaces",
    "seconds",
    "spec_of",
    "state",
    "unescape_key",
    "upcasts",
]
