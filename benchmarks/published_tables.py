"""Write the tables of `docs/published.md`: figures that others printed, and `published.json`.

python benchmarks/published_tables.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import printed
from rating_protocol import BETAS, CONSTANT, ROWS
from sampled_protocol import METRICS
from sampled_protocol import ROWS as RANKED

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "published.md"
RESULTS = HERE / "results" / "published.json"
LOW, HIGH, MIDDLE = 1.0, 5.0, 3.0  # of the scale
NOT_FOUND = "not found here"


def printed_ratings(figures: dict[str, Any], tasks: Sequence[str]) -> str:
    """MAE and RMSE of every method, task and share of cold people."""
    head = ("task", "method", *(f"{m} {b}%" for m in ("MAE", "RMSE") for b in printed.BETAS))
    rows = [
        (task if method == next(iter(figures)) else "", method, *map(_four, _apart(values[number])))
        for number, task in enumerate(tasks)
        for method, values in figures.items()
    ]
    return _table(head, rows)


def again_table(_: dict[str, Any]) -> str:
    """The same methods and tasks in two tables."""
    head = ("method", *(f"{task}, {m}" for task in printed.AMAZON_TASKS for m in ("MAE", "RMSE")))
    rows = []
    for method, theirs in printed.AGAIN.items():
        ours = printed.AMAZON[method]
        cells = [
            f"{_four(ours[task][metric])} / {_four(theirs[task][metric])}"
            for task in range(len(theirs))
            for metric in range(2)
        ]
        rows.append((method, *cells))
    return _table(head, rows)


def bounds_table(_: dict[str, Any]) -> str:
    """From which mean of the test ratings on a constant is better for certain."""
    head = ("task", "method", *(f"by {m}, {b}%" for m in ("MAE", "RMSE") for b in printed.BETAS))
    rows = []
    for number, task in enumerate(printed.AMAZON_TASKS):
        for method in ("EMCDR", "PTUPCDR"):
            values = _apart(printed.AMAZON[method][number])
            means = [sufficient_mean(2 * mae) for mae in values[:3]]
            means += [sufficient_mean(rmse**2) for rmse in values[3:]]
            rows.append((task, method, *(f"{mean:.2f}" for mean in means)))
    return _table(head, rows)


def sufficient_mean(product: float) -> float:
    """The smallest mean m in the upper half of the scale with ``(5 - m)(m - 1) <= product``.

    Ratings within the scale have a variance of at most that product, and a mean absolute deviation
    of at most half of it: all at 1 and 5.
    """
    half = (HIGH - LOW) / 2
    return MIDDLE + max(half**2 - product, 0.0) ** 0.5


def impossible(figures: dict[str, Any]) -> tuple[int, int, list[str]]:
    """How many MAE there are, how many are above 2, and where an MAE is above its RMSE."""
    every = [
        (method, task, _apart(row))
        for method, rows in figures.items()
        for task, row in enumerate(rows)
    ]
    absolute = [mae for _, _, values in every for mae in values[:3]]
    swapped = [
        f"{method}, task {task + 1}"
        for method, task, values in every
        if any(mae > rmse for mae, rmse in zip(values[:3], values[3:], strict=True))
    ]
    return len(absolute), sum(mae > (HIGH - LOW) / 2 for mae in absolute), swapped


def claims(_: dict[str, Any]) -> str:
    """What follows from the printed figures alone."""
    amazon, douban = impossible(printed.AMAZON), impossible(printed.DOUBAN)
    return (
        f"Printed MAE above 2: {amazon[1]} of {amazon[0]} on Amazon, {douban[1]} of {douban[0]} on "
        f"Douban. MAE above the RMSE of the same cell, which cannot be: "
        f"{', '.join(amazon[2] + [f'{cell} of Douban' for cell in douban[2]]) or 'none'}."
    )


def rating_table(study: dict[str, Any]) -> str:
    """Our rows: MAE and RMSE for each share of cold people, and the MAE beside the constant's."""
    head = ("source -> target", "row", *(f"{m} {b:.0%}" for m in ("MAE", "RMSE") for b in BETAS))
    rows = []
    for pair, runs in _by_pair(study, "rating").items():
        found = {run["beta"]: run["rows"] for run in runs}
        for name in ROWS:
            cells = [_three(found[b][name][m][0]) for m in ("mae", "rmse") for b in BETAS]
            least = found[BETAS[0]][name]["mae_to_constant"]
            interval = "" if name == CONSTANT else f"{least[1]:+.3f} .. {least[2]:+.3f}"
            rows.append((pair if name == ROWS[0] else "", name, *cells, interval))
    return _table((*head, "MAE at 20%, less the constant's"), rows)


def sizes_table(study: dict[str, Any]) -> str:
    """On whom ratings were measured."""
    head = ("source -> target", "beta", "cold people", "ratings", "of unknown items", "mean rating")
    rows = [
        (
            pair if run["beta"] == BETAS[0] else "",
            f"{run['beta']:.0%}",
            run["people"],
            run["ratings"],
            f"{run['unknown items']:.1%}",
            f"{run['mean rating']:.2f}",
        )
        for pair, runs in _by_pair(study, "rating").items()
        for run in sorted(runs, key=lambda run: run["beta"])
    ]
    return _table(head, rows)


def printed_sampled(_: dict[str, Any]) -> str:
    """What was found of CDRIB and UniCDR."""
    head = ("scenario", "cold in", "method", "printed", "reruns", "HR@10", "NDCG@10")
    rows = []
    for (scenario, catalog), methods in printed.SAMPLED.items():
        for method, found in methods.items():
            cells = ("0", NOT_FOUND, NOT_FOUND)
            if found is not None:
                hits, ndcg = found
                cells = (str(len(hits)), f"{fmean(hits):.2f}", f"{fmean(ndcg):.2f}")
            rows.append((scenario, catalog, method, NOT_FOUND, *cells))
    return _table(head, rows)


def sampled_table(study: dict[str, Any]) -> str:
    """Our rows among 1,000 items, marked as biased, and among all."""
    shown = {"mrr": "MRR", "ndcg@10": "NDCG@10", "hr@10": "HR@10"}
    head = (
        *("cold in", "people", "ranked, left out", "row"),
        *(f"{shown[m]}, 1 of 1,000 (biased)" for m in METRICS),
        *(f"{shown[m]}, all items" for m in METRICS),
    )
    rows = []
    for pair, runs in _by_pair(study, "sampled").items():
        for run in runs:
            for name in RANKED:
                cells = [
                    _interval(run["rows"][name][how][m])
                    for how in ("sampled", "full")
                    for m in METRICS
                ]
                who = f"{pair}: {run['cold in']}", run["people"], _ranked(run)
                rows.append((*(who if name == RANKED[0] else ("", "", "")), name, *cells))
    return _table(head, rows)


def _ranked(run: dict[str, Any]) -> str:
    return f"{run['interactions']}, {run['left out']}"


def _by_pair(study: dict[str, Any], protocol: str) -> dict[str, list[dict[str, Any]]]:
    runs = [run for run in study["runs"] if run["protocol"] == protocol]
    return {
        pair: [r for r in runs if r["pair"] == pair]
        for pair in dict.fromkeys(r["pair"] for r in runs)
    }


def _apart(values: Sequence[float]) -> tuple[float, ...]:
    """MAE, then RMSE, of values that have them turn about."""
    return (*values[::2], *values[1::2])


def _interval(values: Sequence[float]) -> str:
    mean, low, high = values
    return f"{mean:.1f} ({low:.1f} .. {high:.1f})"


def _three(value: float) -> str:
    return f"{value:.3f}"


def _four(value: float) -> str:
    return f"{value:.4f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def _measured(study: dict[str, Any]) -> str:
    commits = ", ".join(dict.fromkeys(run["commit"] for run in study["runs"]))
    return f"Commit {commits}, {study['date']}, {study['cores']} cores of {study['cpu']}."


TABLES = {
    "printed amazon": lambda _: printed_ratings(printed.AMAZON, printed.AMAZON_TASKS),
    "printed douban": lambda _: printed_ratings(printed.DOUBAN, printed.DOUBAN_TASKS),
    "printed twice": again_table,
    "claims": claims,
    "bounds": bounds_table,
    "ratings": rating_table,
    "sizes": sizes_table,
    "printed sampled": printed_sampled,
    "sampled": sampled_table,
    "measured": _measured,
}


def with_tables(page: str, study: dict[str, Any]) -> str:
    """The page with what stands between its markers replaced."""
    for name, written in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(
                f"{PAGE.name} must have the markers {begin.strip()} and {end} once each"
            )
        before, rest = page.split(begin)
        page = f"{before}{begin}{written(study)}\n{end}{rest.split(end)[1]}"
    return page


def write() -> None:
    """Replace the tables of the page."""
    study = json.loads(RESULTS.read_text())
    PAGE.write_text(with_tables(PAGE.read_text(), study))


if __name__ == "__main__":
    write()
