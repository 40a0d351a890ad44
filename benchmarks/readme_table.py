"""Write the README's tables from the files of their names in `benchmarks/results`.

    python benchmarks/readme_table.py            # replaces the tables in README.md
    python benchmarks/readme_table.py --standing # beside other arms and outside figures, on stdout

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

import numpy as np

from coldstart.statistics import holm

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SHOTS = (0, 1, 5)
ARMS = ("init", "neighbours", "linear-rows", "joint", "warm:ridge", "auto")
OURS = "auto"

# Outside figures on the same pairs, same protocol, other splits, in percent: no source, neighbours,
# rows to rows, mapped; at 0, 1 and 5 shots. They are said to be of all test people. Without any
# interaction their arm without a source is within 0.3 of ours on those who count at five; on
# everybody ours is up to 1.0 lower.
FIELD = {
    "amazon Food -> Kitchen": ((3.2, 2.6, 3.7, 5.1), (3.3, 2.5, 3.5, 4.8), (3.5, 2.4, 2.8, 4.1)),
    "amazon Kitchen -> Electronics": (
        (6.9, 5.1, 7.8, 8.5),
        (6.7, 5.2, 7.4, 8.3),
        (7.2, 5.0, 6.1, 8.1),
    ),
    "douban music -> book": (
        (18.8, 17.3, 20.1, 19.8),
        (18.7, 17.2, 19.9, 19.7),
        (18.8, 17.4, 18.4, 19.4),
    ),
    "epinions cat03 -> cat04": ((5.7, 4.4, 6.2, 7.8), (6.6, 4.8, 5.9, 8.4), (9.0, 5.1, 5.0, 9.2)),
    "yelp Restaurants -> Nightlife": (
        (21.6, 31.4, 31.2, 32.9),
        (21.2, 30.4, 30.1, 32.0),
        (20.8, 27.0, 26.0, 27.3),
    ),
    "xmrec uk -> de": ((2.8, 18.2, 19.1, 19.2), (9.3, 18.5, 18.9, 20.1), (22.5, 21.7, 18.1, 24.2)),
}


def cells(study: dict[str, Any], pair: str, shots: int) -> dict[str, Any]:
    """Means in percent of every arm and of the best arm without a source, and what `auto` gains."""
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
        next(c for c in run["comparisons"] if c["arm"] == OURS and c["shots"] == shots)
        for run in runs
    ]
    found = {arm: 100 * fmean(row[arm]["mean"] for row in rows) for arm in rows[0]}
    found["no source"] = 100 * fmean(
        row[c["baseline"]]["mean"] for row, c in zip(rows, against, strict=True)
    )
    found["gain"] = pooled([(c["difference"], c["ci_low"], c["ci_high"]) for c in against])
    found["interval"] = pooled(
        [tuple(row[OURS][k] for k in ("mean", "ci_low", "ci_high")) for row in rows]
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
    for pair in pairs_of(study):
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


def standing(study: dict[str, Any]) -> str:
    """How `auto` stands beside our other arms and beside the outside figures, all shots averaged.

    Ratios to our arms are averages over all numbers of shots; the best one is known with hindsight,
    which is to its favour. Ratios to the outside figures are averages over their cells.
    """
    lines, arm_ratios, cell_ratios = [], [], []
    for pair in pairs_of(study):
        found = {k: cells(study, pair, k) for k in (0, 1, 2, 5)}
        arms = {arm: fmean(row[arm] for row in found.values()) for arm in ("no source", *ARMS)}
        best = max((arm for arm in arms if arm != OURS), key=arms.__getitem__)
        ours = [found[k][OURS] for k in SHOTS]
        ratios = [value / row[-1] for value, row in zip(ours, FIELD[pair], strict=True)]
        columns = [fmean(column) for column in zip(*FIELD[pair], strict=True)]
        arm_ratios.append(arms[OURS] / arms[best])
        cell_ratios += ratios
        lines.append(
            f"{pair}: {arm_ratios[-1]:.3f} of {best}; "
            f"{fmean(ratios):.3f} of the outside mapped arm, "
            f"{fmean(ours):.2f} against its best column {max(columns):.2f}"
        )
    lines.append(
        f"average: {fmean(arm_ratios):.3f} of the best arm, "
        f"{fmean(cell_ratios):.3f} of the outside mapped arm; {below(study)}"
    )
    return "\n".join(lines)


def below(study: dict[str, Any]) -> str:
    """How often `auto` is below the best arm without a source, Holm over all runs and shots."""
    ours = [c for run in study["runs"] for c in run["comparisons"] if c["arm"] == OURS]
    adjusted = holm(np.array([c["p"] for c in ours]))
    worse = [c["difference"] < 0 for c in ours]
    significant = sum(w and p < 0.05 for w, p in zip(worse, adjusted, strict=True))
    return (
        f"below no source in {sum(worse)} of {len(ours)} comparisons, significantly in "
        f"{significant} (Holm), by its own 95% interval in {sum(c['ci_high'] < 0 for c in ours)}"
    )


def pairs_of(study: dict[str, Any]) -> list[str]:
    """Pairs in the order in which they are known."""
    there = {run["pair"] for run in study["runs"]}
    return [pair for pair in FIELD if pair in there]


def speed_table(study: dict[str, Any]) -> str:
    """Markdown: our time as a share of implicit's, one line for each work."""
    rows = [row for row in study["ratios"] if row["reference"] == "implicit"]
    widths = sorted({row["factors"] for row in rows})
    lines = ["| factors | " + " | ".join(map(str, widths)) + " |", "|---" * (len(widths) + 1) + "|"]
    for name in dict.fromkeys(row["name"] for row in rows):
        found = {row["factors"]: f"{row['ratio']:.2f}" for row in rows if row["name"] == name}
        lines.append(f"| {name} | {' | '.join(found[width] for width in widths)} |")
    return "\n".join(lines)


def targets_table(study: dict[str, Any]) -> str:
    """Markdown: one line for each target model, warm and cold on each pair."""
    pairs = list(dict.fromkeys(run["pair"] for run in study["runs"]))
    lines = [
        f"| target model | {' | '.join(f'{pair}, {k}' for pair in pairs for k in (0, 1))} |",
        "|---" * (2 * len(pairs) + 1) + "|",
    ]
    for model in dict.fromkeys(run["model"] for run in study["runs"]):
        runs = {run["pair"]: run["ndcg"] for run in study["runs"] if run["model"] == model}
        found = [
            f"**{runs[pair]['warm'][k]:.1f}** {runs[pair]['cold'][k]:.1f}"
            for pair in pairs
            for k in (0, 1)
        ]
        lines.append(f"| {model} | {' | '.join(found)} |")
    return "\n".join(lines)


TABLES = {"reference": table, "target_models": targets_table, "ratios": speed_table}


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
    if "--standing" in sys.argv:
        study = results("reference")
        everybody = {"runs": [{**run, **run["everybody"]} for run in study["runs"]]}
        print(standing(study))
        print("on everybody with anything left to find:")
        print(standing(everybody))
        return
    path = ROOT / "README.md"
    path.write_text(with_tables(path.read_text()))


if __name__ == "__main__":
    main()
