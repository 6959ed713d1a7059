"""Names of OpenTelemetry's messaging conventions, and ours beside them."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions in which these names stand."""

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
TEMPLATE: Final = "messaging.destination.template"
GROUP: Final = "messaging.consumer.group.name"
MESSAGE_ID: Final = "messaging.message.id"
CONVERSATION: Final = "messaging.message.conversation_id"
BODY_SIZE: Final = "messaging.message.body.size"
ERROR_TYPE: Final = "error.type"
EXCEPTION: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

HANDLER: Final = "jetmesh.handler"
KEY: Final = "jetmesh.key"
CAUSE: Final = "jetmesh.cause"
"""`<stream>:<sequence>`, as `jetmesh trace` prints it."""
ATTEMPT: Final = "jetmesh.attempt"
WAIT: Final = "jetmesh.wait"
"""`queue`, `retry`, `outage`, `quarantine` or `deadline`."""
LINK: Final = "jetmesh.link"
"""What a link is to: `first outcome`, for a verdict on a delivery that came second; `input`, for
what a step took in beside the input in whose span it is."""
RACES: Final = "jetmesh.races_lost"
"""How often a run before this one was for nothing: another replica stored the key's step first."""
RACE_LOST: Final = "race lost"
