"""What others published, on their protocols: ratings of cold people, and one item among a thousand.

    python benchmarks/published.py --data ../shared/data

writes `benchmarks/results/published.json` run by run, and the tables of `docs/published.md` from it
and from the figures that others printed (`printed.py`). `rating_protocol.py` and
`sampled_protocol.py` say how it is measured. Runs on the data that the figures were printed for
need files in their original layouts under the folder of `--data`: those that are not there are left
out, and the script says at its end what to place where. `--only` takes runs whose names begin so,
such as `rating` or `"sampled amazon"`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import published_tables
import rating_protocol
import sampled_protocol
from originals import (
    AMAZON_TASKS,
    CDRIB_PAIRS,
    PLACES,
    NotPlacedError,
    cdrib_root,
    read_amazon,
    read_cdrib,
)
from study import FOLDER, Study

from coldstart.datasets import read_interactions
from coldstart.interactions import Interactions

FACTORS = 64  # of the sampled protocol
SEED = 0
RATED = {
    "douban music -> book": ("douban", "music", "book", "users"),
    "douban book -> music": ("douban", "book", "music", "users"),
    "epinions cat03 -> cat04": ("epinions", "cat03", "cat04", "users"),
    "xmrec uk -> de": ("xmrec", "uk", "de", "items"),
    "ml_netflix movielens -> netflix": ("ml_netflix", "movielens", "netflix", "items"),
}
TAKEN = {
    "amazon Food, Kitchen": ("amazon", "Food", "Kitchen"),
    "amazon Beauty, Electronics": ("amazon", "Beauty", "Electronics"),
    "douban music, book": ("douban", "music", "book"),
    "epinions cat03, cat04": ("epinions", "cat03", "cat04"),
}


def main() -> None:
    """Run what is missing, write the file after every run, and the page at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=[""], help="how names of runs begin")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER / "published.json")
    options = parser.parse_args()
    settings = {"seeds": [SEED], "factors": FACTORS, "rating factors": rating_protocol.FACTORS}
    study = Study.at(options.out, **settings)
    absent = []
    for key in named_runs(options.only):
        try:
            for run in _runs(options.data, key, options.threads, study):
                study.add(run)
                study.save()
                print(_line(run), file=sys.stderr, flush=True)
        except NotPlacedError as error:
            absent.append(f"{key[0]} {key[1]}: {error}")
    if options.out == FOLDER / "published.json":
        published_tables.write()
    if absent:
        print("not run:\n  " + "\n  ".join(absent) + f"\nplace under {options.data}:{PLACES}")


def named_runs(beginnings: list[str]) -> list[tuple[str, str]]:
    """Protocols and pairs whose names begin like one of these."""
    known = [
        *(("rating", pair) for pair in (*RATED, *AMAZON_TASKS)),
        *(("sampled", pair) for pair in (*TAKEN, *CDRIB_PAIRS)),
    ]
    return [key for key in known if f"{key[0]} {key[1]}".startswith(tuple(beginnings))]


def _runs(data: Path, key: tuple[str, str], threads: int, study: Study) -> Iterator[dict[str, Any]]:
    """Runs of a protocol on a pair that the study does not have yet."""
    protocol, pair = key
    if protocol == "rating":
        missing = [
            b
            for b in rating_protocol.BETAS
            if study.find(protocol=protocol, pair=pair, beta=b) is None
        ]
        yield from _rating_runs(data, pair, missing)
    elif study.find(protocol=protocol, pair=pair) is None:
        yield from _sampled_runs(data, pair, threads)


def _rating_runs(data: Path, pair: str, betas: list[float]) -> Iterator[dict[str, Any]]:
    if not betas:
        return
    source, target = read_rated(data, pair)
    models = rating_protocol.SourceModels(source)
    for beta in betas:
        began = time.perf_counter()
        found = rating_protocol.run(models, target, beta, SEED)
        yield {"protocol": "rating", "pair": pair, **found, "seconds": _since(began)}


def _sampled_runs(data: Path, pair: str, threads: int) -> Iterator[dict[str, Any]]:
    first, second = CDRIB_PAIRS[pair] if pair in CDRIB_PAIRS else TAKEN[pair][1:]
    for cold_in, people in zip((second, first), read_taken(data, pair), strict=True):
        began = time.perf_counter()
        found = sampled_protocol.run(people, factors=FACTORS, seed=SEED, num_threads=threads)
        named = {"protocol": "sampled", "pair": pair, "cold in": cold_in}
        yield {**named, **found, "seconds": _since(began)}


def read_rated(data: Path, pair: str) -> tuple[Interactions, Interactions]:
    """Ratings of source and target; what both have in common are the users."""
    if pair in AMAZON_TASKS:
        source, target = (read_amazon(data, name) for name in AMAZON_TASKS[pair])
        return source, target
    name, *domains, side = RATED[pair]
    file = data / name / "interactions.csv.gz"
    logs = [read_interactions(f"{file}#{domain}", weight="rating") for domain in domains]
    source, target = (log.T if side == "items" else log for log in logs)
    return source, target


def read_taken(
    data: Path, pair: str
) -> tuple[sampled_protocol.ColdPeople, sampled_protocol.ColdPeople]:
    """Both directions of a pair, split as published or by the files that were."""
    if pair in CDRIB_PAIRS:
        return read_cdrib(cdrib_root(data, pair), *CDRIB_PAIRS[pair])
    name, first, second = TAKEN[pair]
    file = data / name / "interactions.csv.gz"
    logs = (read_interactions(f"{file}#{domain}") for domain in (first, second))
    return sampled_protocol.split_pair(*logs, np.random.default_rng(SEED))


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 1)


def _line(run: dict[str, Any]) -> str:
    """One metric of every row."""
    if run["protocol"] == "rating":
        shown = {name: row["mae"][0] for name, row in run["rows"].items()}
    else:
        shown = {name: row["sampled"]["hr@10"][0] for name, row in run["rows"].items()}
    head = [run["protocol"], run["pair"], str(run.get("beta", run.get("cold in")))]
    values = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
    return f"{', '.join(head)}, {run['seconds']} s: {values}"


if __name__ == "__main__":
    main()
