"""The generated files of a chart, kept with the code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.errors import UsageError
from jetmesh.operate.generated import read
from jetmesh.operate.helm.declared import chart_values
from jetmesh.operate.helm.facts import facts
from jetmesh.operate.helm.logins import configurations
from jetmesh.operate.helm.text import NOTE, dump, schema_json, table, values_yaml

_BEGIN: Final = "<!-- values: written by `jetmesh deploy init` -->\n"
_END: Final = "<!-- end of values -->\n"


def contents(system: System, topology: Topology, chart: Path, readme: str) -> dict[Path, str]:
    """The generated files below `chart`; `readme` is what its README begins as.

    Raises:
        UsageError: the chart's README has no place for the table.
    """
    values = chart_values(system, topology)
    file = chart / "README.md"
    there = read(file)
    return {
        chart / "values.yaml": values_yaml(values),
        chart / "values.schema.json": schema_json(values),
        chart / "files" / "topology.yaml": NOTE + dump(facts(system, topology)),
        **{chart / path: text for path, text in configurations(topology).items()},
        file: _with_table(readme if there is None else there, table(values)),
    }


def _with_table(readme: str, table: str) -> str:
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise UsageError(
            "The chart's README.md lacks the markers for the table of values.",
            remedy=f"Write these two lines into it: {_BEGIN.strip()} and {_END.strip()}",
        )
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"
