"""Write the README's tables from `reference.json` and `ratios.json` in `benchmarks/results`.

    python benchmarks/readme_table.py            # replaces the tables in README.md
    python benchmarks/readme_table.py --field    # beside the reference figures, on stdout

Means are over seeds. The interval of a difference takes each seed's interval as 3.92 standard
errors and the seeds as independent groups of people.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SHOTS = (0, 1, 5)
ARMS = ("init", "neighbours", "linear-rows", "joint", "warm:ridge")

# Outside figures on the same pairs, same protocol, other splits: percent, (no source, mapped).
FIELD = {
    ("amazon Food -> Kitchen", 0): (3.2, 5.1),
    ("amazon Food -> Kitchen", 1): (3.3, 4.8),
    ("amazon Food -> Kitchen", 5): (3.5, 4.1),
    ("amazon Kitchen -> Electronics", 0): (6.9, 8.5),
    ("amazon Kitchen -> Electronics", 1): (6.7, 8.3),
    ("amazon Kitchen -> Electronics", 5): (7.2, 8.1),
    ("douban music -> book", 0): (18.8, 19.8),
    ("douban music -> book", 1): (18.7, 19.7),
    ("douban music -> book", 5): (18.8, 19.4),
    ("epinions cat03 -> cat04", 0): (5.7, 7.8),
    ("epinions cat03 -> cat04", 1): (6.6, 8.4),
    ("epinions cat03 -> cat04", 5): (9.0, 9.2),
    ("yelp Restaurants -> Nightlife", 0): (21.6, 32.9),
    ("yelp Restaurants -> Nightlife", 1): (21.2, 32.0),
    ("yelp Restaurants -> Nightlife", 5): (20.8, 27.3),
    ("xmrec uk -> de", 0): (2.8, 19.2),
    ("xmrec uk -> de", 1): (9.3, 20.1),
    ("xmrec uk -> de", 5): (22.5, 24.2),
}


def cells(study: dict[str, Any], pair: str, shots: int) -> dict[str, Any]:
    """Means in percent of every arm and of the best arm without a source, and what warm gains."""
    runs = [run for run in study["runs"] if run["pair"] == pair]
    rows = [
        {
            row["arm"]: row
            for row in run["rows"]
            if row["metric"] == "ndcg" and row["shots"] == shots
        }
        for run in runs
    ]
    against = [
        next(c for c in run["comparisons"] if c["arm"] == "warm:ridge" and c["shots"] == shots)
        for run in runs
    ]
    found = {arm: 100 * fmean(row[arm]["mean"] for row in rows) for arm in rows[0]}
    found["no source"] = 100 * fmean(
        row[c["baseline"]]["mean"] for row, c in zip(rows, against, strict=True)
    )
    found["gain"] = pooled([(c["difference"], c["ci_low"], c["ci_high"]) for c in against])
    found["interval"] = pooled(
        [tuple(row["warm:ridge"][k] for k in ("mean", "ci_low", "ci_high")) for row in rows]
    )
    return found


def pooled(parts: list[tuple[float, ...]]) -> tuple[float, float, float]:
    """Mean over seeds in percent, with the interval of independent groups."""
    error = math.sqrt(sum(((high - low) / 3.92) ** 2 for _, low, high in parts)) / len(parts)
    mean = fmean(part[0] for part in parts)
    return 100 * mean, 100 * (mean - 1.96 * error), 100 * (mean + 1.96 * error)


def table(study: dict[str, Any]) -> str:
    """Markdown: one line for each pair and number of shots, the best arm in bold."""
    lines = [
        "| source -> target | shots | no source | " + " | ".join(ARMS) + " | gain |",
        "|---|---|---|" + "---|" * (len(ARMS) + 1),
    ]
    for pair in dict.fromkeys(run["pair"] for run in study["runs"]):
        for shots in SHOTS:
            found = cells(study, pair, shots)
            best = max(found[arm] for arm in ("no source", *ARMS))
            values = [
                f"**{found[arm]:.1f}**" if found[arm] == best else f"{found[arm]:.1f}"
                for arm in ("no source", *ARMS)
            ]
            _, low, high = found["gain"]
            name = pair if shots == SHOTS[0] else ""
            lines.append(f"| {name} | {shots} | {' | '.join(values)} | {low:+.1f} .. {high:+.1f} |")
    return "\n".join(lines)


def field_table(study: dict[str, Any]) -> str:
    """Our warm:ridge beside the outside figures."""
    lines = ["pair, shots: no source (outside), warm:ridge [interval] (outside mapped), gain"]
    for pair in dict.fromkeys(run["pair"] for run in study["runs"]):
        for shots in SHOTS:
            found, (base, mapped) = cells(study, pair, shots), FIELD[(pair, shots)]
            mean, low, high = found["interval"]
            _, gain_low, gain_high = found["gain"]
            lines.append(
                f"{pair}, {shots}: {found['no source']:.1f} ({base}), {mean:.1f} "
                f"[{low:.1f}, {high:.1f}] ({mapped}), {gain_low:+.2f} .. {gain_high:+.2f}"
            )
    return "\n".join(lines)


def speed_table(study: dict[str, Any]) -> str:
    """Markdown: our time as a share of implicit's, one line for each work."""
    rows = [row for row in study["ratios"] if row["reference"] == "implicit"]
    widths = sorted({row["factors"] for row in rows})
    lines = ["| factors | " + " | ".join(map(str, widths)) + " |", "|---" * (len(widths) + 1) + "|"]
    for name in dict.fromkeys(row["name"] for row in rows):
        found = {row["factors"]: f"{row['ratio']:.2f}" for row in rows if row["name"] == name}
        lines.append(f"| {name} | {' | '.join(found[width] for width in widths)} |")
    return "\n".join(lines)


TABLES = {"reference": table, "ratios": speed_table}


def with_tables(readme: str) -> str:
    """The README with its tables replaced."""
    for name, written in TABLES.items():
        begin, end = f"<!-- {name} table -->", f"<!-- end of {name} table -->"
        before, rest = readme.split(begin)
        readme = f"{before}{begin}\n{written(results(name))}\n{end}{rest.split(end)[1]}"
    return readme


def results(name: str) -> dict[str, Any]:
    """What was measured."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def main() -> None:
    if "--field" in sys.argv:
        print(field_table(results("reference")))
        return
    path = ROOT / "README.md"
    path.write_text(with_tables(path.read_text()))


if __name__ == "__main__":
    main()
