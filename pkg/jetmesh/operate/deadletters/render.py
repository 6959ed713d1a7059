"""Dead letters on a screen, and as JSON: faults, one letter with its story, what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct
from rich.text import Text

from jetmesh import wire
from jetmesh.operate.deadletters.desk import describe
from jetmesh.operate.deadletters.letter import Group, Letter, Note, Selection, State
from jetmesh.operate.deadletters.payload import PayloadView, header
from jetmesh.operate.deadletters.store import HistoryEntry
from jetmesh.operate.humanize import counted
from jetmesh.privacy.mask import printable

_STYLES: Final = {"open": "red", "replayed": "green", "dropped": "dim"}
_TIME: Final = "%Y-%m-%d %H:%M:%S"
_FEW: Final = 10
_FAULT: Final = ("service", "handler", "error", "where", "fingerprint")
"""What all letters of a group have alike."""


def faults(selection: Selection, *, every: bool) -> Iterator[Text]:
    """The faults, the one with the most letters first, and what to do next."""
    groups = selection.faults()
    if not groups:
        yield Text("There are no dead letters." if every else "No dead letter is open.", "green")
        return
    for group in groups:
        yield from _fault(group, every=every)
        yield Text()
    first = groups[0]
    letters = counted(len(selection), "letter" if every else "open letter")
    yield Text(f"{letters} of {counted(len(groups), 'fault')}.", "bold")
    yield Text(f"jetmesh deadletters show {first.example.sequence}", "dim")
    if first.counts["open"] and first.example.fingerprint:
        print_ = printable(first.example.fingerprint)
        yield Text(f"jetmesh deadletters replay --fingerprint {print_} --dry-run", "dim")


def summary(selection: Selection) -> Iterator[Text]:
    """What is about to be replayed or dropped, in a few lines."""
    groups = selection.faults()
    for group in groups[:_FEW]:
        yield Text.assemble(f"{group.count:>9,}  ", *_headline(group.example))
    if len(groups) > _FEW:
        yield Text(f"{'':>9}  and {len(groups) - _FEW:,} faults more", "dim")


def one_line(letter: Letter, state: State) -> Text:
    """A letter among others."""
    line = Text.assemble((f"{letter.id}", "cyan"), (f"  {letter.failed_at:{_TIME}}  ", "dim"))
    line.append(f"{letter.service}.{letter.handler}  {printable(letter.key) or '(no key)'}  ")
    line.append(printable(f"{letter.error}: {letter.text}"))
    return line.append(f"  {state}", _STYLES[state])


def details(
    entries: Sequence[HistoryEntry],
    letter: Letter,
    payload: PayloadView,
    contracts: Sequence[type[Struct]] = (),
) -> list[Text]:
    """Everything about a letter but its history; `contracts` say what is sensitive in it."""
    state = _state_in(entries, letter)
    lines = [Text.assemble((letter.id, "bold"), "  ", (state, _STYLES[state]))]
    lines.append(Text.assemble("  ", *_headline(letter)))
    lines.append(Text(f"  {printable(letter.text)}"))
    lines += [Text(), Text("Headers", "bold"), *_headers(letter, contracts)]
    lines += [Text(), *_payload(payload, known=bool(contracts)), Text(), Text("History", "bold")]
    return lines


def history(entries: Sequence[HistoryEntry], letter: Letter, wait: str) -> Iterator[Text]:
    """Each failure of the message, and what was done about it."""
    for entry in entries:
        each = entry.letter
        line = Text(f"  {each.failed_at:{_TIME}}  ", "dim").append(each.id, "cyan")
        line.append("  ").append(printable(f"{each.error}: {each.text}"), "red")
        line.append(f" ({counted(each.attempts, 'attempt')})")
        if len(entries) > 1 and each.sequence == letter.sequence:
            line.append("  this letter", "dim")
        yield line
        for note in entry.notes:
            place = f", as {note.lane}:{note.lane_sequence}" if note.lane_sequence else ""
            yield Text(f"    {printable(describe(note))}{place}", _STYLES[note.state])
    last = entries[-1].notes
    if wait:
        yield Text(f"    {wait}", "yellow")
    elif last and last[-1].action == "replay":
        yield Text("    it was handled, and there is no newer letter", "green")
    elif not last:
        yield Text("    nothing was done about it yet", "yellow")


def faults_as_data(selection: Selection) -> list[dict[str, Any]]:
    """The faults for programs."""
    return [
        {
            **{name: getattr(group.example, name) for name in _FAULT},
            **group.counts,
            "oldest": group.oldest,
            "newest": group.newest,
            "example": letter_as_data(group.example),
        }
        for group in selection.faults()
    ]


def letter_as_data(letter: Letter) -> dict[str, Any]:
    """A letter in a few fields."""
    return {
        "letter": letter.id,
        "service": letter.service,
        "handler": letter.handler,
        "key": letter.key,
        "error": letter.error,
        "message": letter.text,
        "where": letter.where,
        "fingerprint": letter.fingerprint,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "failed_at": letter.failed_at,
    }


def details_as_data(
    entries: Sequence[HistoryEntry],
    letter: Letter,
    payload: PayloadView,
    wait: str,
    contracts: Sequence[type[Struct]] = (),
) -> dict[str, Any]:
    """A letter with its story, for programs."""
    return {
        **letter_as_data(letter),
        "state": _state_in(entries, letter),
        "headers": {
            wire.legible(name): header(name, value, contracts)
            for name, value in letter.message.headers.items()
        },
        "payload": payload._asdict(),
        "waits": wait,
        "history": [{**letter_as_data(entry.letter), "notes": entry.notes} for entry in entries],
    }


def state_of(notes: Sequence[Note]) -> State:
    """What notes make of a letter: what was run counts more than what was dropped."""
    states = {note.state for note in notes}
    return "replayed" if "replayed" in states else "dropped" if states else "open"


def _state_in(entries: Sequence[HistoryEntry], letter: Letter) -> State:
    return state_of(next(each.notes for each in entries if each.letter.sequence == letter.sequence))


def _fault(group: Group, *, every: bool) -> Iterator[Text]:
    indent = " " * 11
    yield Text.assemble((f"{group.count:>9,}  ", "bold"), *_headline(group.example))
    example = group.example
    if example.text:
        yield Text(f"{indent}{printable(example.text)}")
    span = f"{group.oldest:{_TIME}}"
    if group.newest != group.oldest:
        same_day = group.newest.date() == group.oldest.date()
        span += f" to {group.newest:{'%H:%M:%S' if same_day else _TIME}}"
    key = f", key {printable(example.key)}" if example.key else ""
    yield Text.assemble(
        (f"{indent}{span} UTC, newest ", "dim"),
        (example.id, "cyan"),
        (f"{key}, fingerprint {printable(example.fingerprint) or 'unknown'}", "dim"),
    )
    if every:
        counts = (f"{count:,} {state}" for state, count in group.counts.items() if count)
        yield Text(f"{indent}{', '.join(counts)}")


def _headline(letter: Letter) -> Iterator[tuple[str, str]]:
    yield f"{printable(letter.service)}.{printable(letter.handler)}", "green"
    yield f"  {printable(letter.error)}", "red"
    if letter.where:
        yield f"  at {printable(letter.where)}", ""


def _headers(letter: Letter, contracts: Sequence[type[Struct]]) -> Iterator[Text]:
    headers = letter.message.headers
    width = max(map(len, headers), default=0)
    for name, value in headers.items():
        shown = printable(header(name, value, contracts))
        yield Text.assemble((f"  {printable(name):<{width}}  ", "dim"), shown)


def _payload(payload: PayloadView, *, known: bool) -> Iterator[Text]:
    yield Text.assemble(("Payload", "bold"), (f"  {_note(payload, known=known)}", "dim"))
    for line in payload.text.splitlines():
        yield Text(f"  {printable(line)}")
    if payload.left_out and payload.text:
        yield Text(f"  and {payload.left_out:,} more; --payload writes all of it", "dim")


def _note(payload: PayloadView, *, known: bool) -> str:
    """What the payload is, and what of it is not shown."""
    match payload.kind:
        case "empty" | "lost":
            return "" if payload.text else payload.kind
        case "text":
            return "no JSON"
        case "bytes":
            return (
                f"{payload.left_out:,} bytes that are no text, not shown: whom they are about "
                "nobody can tell. --payload writes them"
            )
        case "withheld":
            return "a text that names something sensitive, not shown. --payload writes it"
    hidden = "without what contracts mark as sensitive"
    unknown = "its contract is not known here: only e-mail addresses are masked"
    return f"{'' if payload.kind == 'JSON' else f'{payload.kind}, '}{hidden if known else unknown}"
