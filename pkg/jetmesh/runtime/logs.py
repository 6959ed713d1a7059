"""Log lines: console in a terminal, JSON otherwise; printable and without addresses, always."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from jetmesh.privacy.mask import MASK, masked, printable
from jetmesh.settings import LogSettings

_TRACE_LINES: Final = 60
_TRACE_LENGTH: Final = 16_000
_DEEPEST: Final = 6
_LARGEST_BITS: Final = 1024
"""A larger number is written in hexadecimal: Python refuses thousands of decimal digits."""
_LONGEST_NUMBER: Final = 500
_HIDDEN: Final = "about"


class About:
    """Bound to a logger: the event whose sensitive values its lines must not show."""

    def __init__(self, event: Any) -> None:
        self.event = event

    def __repr__(self) -> str:
        return MASK


def configure(settings: LogSettings, service: str) -> None:
    """Make every line of this process, of libraries too, an event, of `service` if there is one."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if console else "iso", utc=not console),
        _exception,
        _clean,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=True, exception_formatter=structlog.dev.plain_traceback
        )
        if console
        else structlog.processors.JSONRenderer()
    )
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _adopt_libraries(shared, renderer, level)
    if service:
        structlog.contextvars.bind_contextvars(service=service)


def _adopt_libraries(shared: list[Processor], renderer: Processor, level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))  # what libraries say below it is for themselves
    logging.raiseExceptions = False  # how a library calls its logger ends nothing
    logging.captureWarnings(capture=True)


def _exception(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """The traceback as text, of an error that may refuse to be shown."""
    try:
        return structlog.processors.format_exc_info(logger, name, event)
    except Exception:  # noqa: BLE001 - a line is written whatever its values do
        event.pop("exc_info", None)
        return {**event, "exception": "(an error that cannot be shown)"}


def _clean(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    hidden = event.pop(_HIDDEN, None)
    about = hidden.event if isinstance(hidden, About) else None
    if hidden is not None and about is None:
        event[_HIDDEN] = hidden  # somebody's own value of that name
    cleaned: dict[str, Any] = {}
    for name, value in event.items():
        if name in ("exception", "stack") and isinstance(value, str):
            cleaned[name] = _trace(value, about)
        elif name.startswith("_"):
            cleaned[name] = value  # structlog's own, removed before the line is written
        else:
            cleaned[printable(name)] = _value(value, about)
    return cleaned


def _value(value: Any, about: Any) -> Any:
    """`value` as something that can be written without asking it how."""
    try:
        return _plain(value, about)
    except Exception:  # noqa: BLE001 - a line is written whatever its values do
        return f"<{type(value).__name__}>"


def _plain(value: Any, about: Any, depth: int = 0) -> Any:
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        return hex(value)[:_LONGEST_NUMBER]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return masked(value, about)
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {
                masked(str(name), about): _plain(each, about, depth + 1)
                for name, each in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [_plain(each, about, depth + 1) for each in value]
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a line is written whatever its values do
        text = f"<{type(value).__name__}>"
    return masked(masked(text, value), about)


def _trace(text: str, about: Any) -> str:
    """A traceback, its newest lines if it is long, indented so that no line passes for another."""
    is_cut = len(text) > _TRACE_LENGTH
    lines = text[-_TRACE_LENGTH:].splitlines()[is_cut:][-_TRACE_LINES:]
    return "\n".join(f"  {masked(line, about)}" for line in lines)
