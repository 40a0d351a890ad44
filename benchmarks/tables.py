"""Write the tables of `benchmarks/README.md` from the files in `benchmarks/results`.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE / "README.md"


def limits_table(study: dict[str, Any]) -> str:
    """One line for each limit."""
    lines = [
        "| measured | seconds | limit | peak memory | limit |",
        "|---|---|---|---|---|",
    ]
    for row in study["measurements"]:
        most = f"{row['limit_gigabytes']} GB" if row["limit_gigabytes"] else ""
        lines.append(
            f"| {row['name']} | {row['seconds']:.2f} | {row['limit_seconds']} "
            f"| {row['peak_gigabytes']:.2f} GB | {most} |"
        )
    return "\n".join([*lines, "", _measured(study)])


def solver_table(study: dict[str, Any]) -> str:
    """One line for each kind of work, in milliseconds: the other library beside this one."""
    work: dict[str, dict[str, float]] = {}
    for row in study["seconds"]:
        what = row.get("solver") or f"{row['shots']} per row"
        work.setdefault(f"{row['group']}, {what}", {})[row["library"]] = 1000 * row["median"]
    lines = ["| work | coldstart, ms | other, ms | other |", "|---|---|---|---|"]
    for what, times in work.items():
        ours = times.pop("coldstart")
        ((other, theirs),) = times.items()
        lines.append(f"| {what} | {ours:.0f} | {theirs:.0f} | {other} |")
    return "\n".join([*lines, "", _measured(study)])


def _measured(study: dict[str, Any]) -> str:
    cores = f"{study['cores']} cores of {study['cpu']}"
    return f"Commit {study['commit']}, {study['date']}, {cores}, Python {study['python']}."


TABLES = {"limits": limits_table, "solver": solver_table}


def with_tables(readme: str) -> str:
    """The text with what stands between its markers replaced."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = readme.split(begin)
        after = rest.split(end)[1]
        study = json.loads((HERE / "results" / f"{name}.json").read_text())
        readme = f"{before}{begin}{table(study)}\n{end}{after}"
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
