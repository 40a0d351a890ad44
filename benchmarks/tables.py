"""Write the tables of `benchmarks/README.md` from the files in `benchmarks/results`.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
README = HERE / "README.md"
NOT_YET = "not measured yet"


def limits_table(study: dict[str, Any]) -> str:
    """One line for each limit."""
    rows = [
        (
            row["name"],
            f"{row['seconds']:.2f}",
            row["limit_seconds"],
            f"{row['peak_gigabytes']:.2f} GB",
            f"{row['limit_gigabytes']} GB" if row["limit_gigabytes"] else "",
        )
        for row in study["measurements"]
    ]
    return _table(("measured", "seconds", "limit", "peak memory", "limit"), rows)


def groups_table(study: dict[str, Any]) -> str:
    """One line for each work of this library, in milliseconds, and its reference beside it."""
    timed = study["seconds"]
    references = {
        (row["group"], row["work"]): row for row in timed if row["library"] != "coldstart"
    }
    rows = []
    for row in timed:
        if row["library"] == "coldstart":
            beside = references.get((row["group"], row.get("beside", row["work"])))
            other = (f"{1000 * beside['median']:.0f}", beside["library"]) if beside else ("", "")
            limit = f"{1000 * row['limit']:.0f}" if "limit" in row else ""
            ours = f"{1000 * row['median']:.0f}"
            rows.append((row["group"], row["work"], ours, *other, limit))
    return _table(("group", "work", "coldstart, ms", "other, ms", "other", "limit, ms"), rows)


def ratios_table(study: dict[str, Any]) -> str:
    """One line for each ratio, and the limit that it must keep."""
    rows = [
        (
            row["name"],
            row["factors"],
            f"{median(row['our_seconds']):.2f}",
            f"{median(row['their_seconds']):.2f}",
            row["reference"],
            f"{row['ratio']:.2f}",
            f"{row['limit']:.2f}",
        )
        for row in study["ratios"]
    ]
    return _table(("work", "factors", "coldstart, s", "other, s", "other", "ratio", "limit"), rows)


def scale_table(study: dict[str, Any]) -> str:
    """One line for each size: seconds and memory of this library, then those of implicit."""
    rows = []
    for ours in study["fits"]:
        if ours["library"] == "coldstart":
            key = ours["work"], ours["interactions"], ours["factors"]
            theirs = [
                row
                for row in study["fits"]
                if row["library"] == "implicit"
                and (row["work"], row["interactions"], row["factors"]) == key
            ]
            cost = 1e9 * ours["seconds"] / (study["sweeps"] * ours["interactions"])
            cells = [
                (f"{row['seconds']:.1f}", f"{row['peak_bytes'] / 1e9:.2f}", f"{row['memory']:.2f}")
                for row in (ours, *theirs)
            ] + [("", "", "")]
            size = f"{ours['interactions'] / 1e6:g}", ours["factors"]
            rows.append((*size, ours["work"], *cells[0], *cells[1], f"{cost:.0f}"))
    return _table(
        (
            "million interactions",
            "factors",
            "work",
            *("coldstart, s", "peak, GB", "share"),
            *("implicit, s", "peak, GB", "share"),
            "coldstart, ns per interaction and sweep",
        ),
        rows,
    )


def compile_table(study: dict[str, Any]) -> str:
    """One line for each use of compiled code, and their sum."""
    rows = [(row["name"], f"{row['compile_seconds']:.2f}") for row in study["uses"]]
    rows.append((f"in all (limit {study['limit_seconds']:.0f})", f"{study['total_seconds']:.2f}"))
    return _table(("first use", "seconds"), rows)


def time_to_quality_table(study: dict[str, Any]) -> str:
    """One line for each pair and number of shots: qualities in percent, then seconds."""
    rows = []
    for name, found in study["pairs"].items():
        duels = list(found["seconds_to_95"].values())
        catch_up = found["catch_up"] or f"more than {duels[-1]['shots']}"
        for duel in duels:
            first, warm = duel["shots"] == 0, duel["warm_and_source_seconds"]
            quality = (f"{100 * duel[side]:.1f}" for side in ("best", "warm"))
            gain = f"{100 * duel['ci_low']:+.1f} .. {100 * duel['ci_high']:+.1f}"
            seconds = f"{duel['cold_seconds']:.2f}", "never" if warm is None else f"{warm:.2f}"
            pair, reached = (name, catch_up) if first else ("", "")
            rows.append((pair, duel["shots"], *quality, gain, *seconds, reached))
    return _table(
        (
            *("source -> target", "shots", "cold", "warm", "gain"),
            *("cold, s", "warm and source, s", "cold catches up at"),
        ),
        rows,
    )


def type_one_table(study: dict[str, Any]) -> str:
    """One line for each pair and metric: shares in percent of replicates, by what rejected them."""
    names = tuple(study["runs"][0]["rejected"])
    rows = []
    for run in study["runs"]:
        shares = (f"{100 * run['rejected'][name]:.1f}" for name in names)
        unchanged = f"{100 * run['unchanged']:.0f}"
        rows.append((run["pair"], run["metric"], run["people"], unchanged, *shares))
    return _table(("source -> target", "metric", "people", "unchanged, %", *names), rows)


def evaluation_scale_table(study: dict[str, Any]) -> str:
    """One line for each part, and their sum with the peak memory beside its limit."""
    rows = [(name, f"{seconds:.1f}", "") for name, seconds in study["parts"].items()]
    limits = f"{study['limit_seconds']} s, {study['limit_gigabytes']} GB"
    whole = f"{study['seconds']:.1f}", f"{study['peak_gigabytes']:.2f} GB"
    rows.append((f"in all (limit {limits})", *whole))
    return _table(("part", "seconds", "peak memory"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def _measured(study: dict[str, Any]) -> str:
    cores = f"{study['cores']} cores of {study['cpu']}"
    return f"Commit {study['commit']}, {study['date']}, {cores}, Python {study['python']}."


TABLES = {
    "ratios": ratios_table,
    "groups": groups_table,
    "scale": scale_table,
    "compile": compile_table,
    "limits": limits_table,
    "time_to_quality": time_to_quality_table,
    "type_one": type_one_table,
    "evaluation_scale": evaluation_scale_table,
}


def results_file(name: str) -> Path:
    """Where the results of that name lie once they are measured."""
    return HERE / "results" / f"{name}.json"


def table(name: str) -> str:
    """The table of that name and where it was measured."""
    if not results_file(name).exists():
        return NOT_YET
    study = json.loads(results_file(name).read_text())
    return f"{TABLES[name](study)}\n\n{_measured(study)}"


def with_tables(readme: str) -> str:
    """The text with what stands between its markers replaced."""
    for name in TABLES:
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = readme.split(begin)
        after = rest.split(end)[1]
        readme = f"{before}{begin}{table(name)}\n{end}{after}"
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
