"""Log lines of several processes: read, put in order, chosen by key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jetmesh.errors import UsageError
from jetmesh.operate.logs import Files, chosen, line_of, lines
from jetmesh.operate.up.logfiles import LogFiles

CAME = "2026-11-29T18:00:05.123456789Z"


def test_a_json_line_tells_its_service_and_its_time() -> None:
    written = (
        '{"event":"retry","key":"p-1","service":"payments","timestamp":"2026-11-29T18:00:01Z"}'
    )
    line = line_of("pod", f"{CAME} {written}")
    assert (line.service, line.at) == ("payments", datetime(2026, 11, 29, 18, 0, 1, tzinfo=UTC))
    assert line.is_about("p-1")
    assert not line.is_about("p-10")


def test_a_line_for_people_tells_its_key_and_came_when_it_was_written() -> None:
    line = line_of("payments", f"{CAME} 18:00:05 [warning  ] retry  key=p-1 message='no luck'")
    assert line.service == "payments"
    assert line.at == datetime(2026, 11, 29, 18, 0, 5, 123456, tzinfo=UTC)
    assert line.fields == {"key": "p-1", "message": "no luck"}


@pytest.mark.parametrize("text", ["", "{", "no time", f"{CAME} {{broken", f"{CAME} []", "[" * 9999])
def test_whatever_was_written_is_a_line(text: str) -> None:
    assert line_of("any", text).service == "any"


def test_lines_of_several_files_are_in_the_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text(f"{CAME} second\n{CAME[:-3]}Z third key=a\n")
    (tmp_path / "two.log").write_text("2026-11-29T18:00:04Z first key=a\n")
    [found] = lines(Files(tmp_path), follow=False)
    assert [line.text.partition(" ")[0] for line in found] == ["first", "second", "third"]
    assert [line.service for line in chosen(found, "a", [])] == ["two", "one"]
    assert [line.service for line in chosen(found, "", ["two"])] == ["two"]


def test_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    path.write_text(f"{CAME} whole\n{CAME} ha")
    files = Files(tmp_path)
    assert [line.text for line in files.read()] == ["whole"]
    with path.open("a") as file:
        file.write("lf\n")
    assert [line.text for line in files.read()] == ["half"]
    files.close()


def test_nothing_is_missed_when_a_file_is_turned(tmp_path: Path) -> None:
    kept = LogFiles(tmp_path, most_bytes=200)
    kept.write("one", "0")
    files = Files(tmp_path)
    found = [line.text for line in files.read()]
    for number in range(1, 40):
        kept.write("one", str(number))
        found += [line.text for line in files.read()]
    kept.close()
    files.close()
    assert found == [str(number) for number in range(40)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.log", "one.log.1"]
    assert all(path.stat().st_size < 300 for path in tmp_path.iterdir())


def test_what_a_terminal_obeys_is_not_kept(tmp_path: Path) -> None:
    kept = LogFiles(tmp_path)
    kept.write("one", "\x1b[31mred\x1b[0m \x1b]0;title\x07")
    kept.close()
    assert "\x1b" not in (tmp_path / "one.log").read_text()


def test_without_logs_it_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no logs"):
        Files(tmp_path)
