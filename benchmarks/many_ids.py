"""Memory of `coldstart recommend` for few ids and for many.

    python benchmarks/many_ids.py

writes `benchmarks/results/many_ids.json`: seconds and peak memory of the command, a process of its
own, for 10,000 and for 1,000,000 ids that the model knows, out of files of each format and into
files of each. The model is the same, and large: a million people of the source.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from limits import run_command
from provenance import provenance

from coldstart import Interactions, PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter

RESULTS = Path(__file__).parent / "results" / "many_ids.json"
PEOPLE, BOTH, ITEMS, WIDTH = 1_000_000, 3000, 500, 8
ASKED = (10_000, 1_000_000)
FORMATS = (("csv", "csv"), ("parquet", "parquet"), ("txt", "jsonl"))


def catalog(people: int, rng: np.random.Generator) -> Interactions:
    """Two items of each of the first people."""
    users = np.repeat(np.arange(people), 2)
    return Interactions.from_frame(
        pl.DataFrame({"user": users, "item": rng.integers(ITEMS, size=len(users))})
    )


def write_ids(path: Path, count: int) -> None:
    """The first people, as a table or one per line."""
    ids = pl.DataFrame({"user": np.arange(count)})
    if path.suffix == ".parquet":
        ids.write_parquet(path)
    else:
        ids.write_csv(path, include_header=path.suffix == ".csv")


def measured(model: Path, ids: Path, out: Path) -> dict[str, Any]:
    """Seconds and peak memory of one command."""
    asked = ("recommend", "--model", str(model), "--ids", str(ids), "--out", str(out))
    seconds, gigabytes = run_command(asked, dict(os.environ))
    return {"seconds": round(seconds, 1), "peak, MiB": round(gigabytes * 1e9 / 2**20)}


def main() -> None:
    """Fit, measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    model = PriorALS(WIDTH, iterations=1, rng=0)
    warm = WarmStart(model, RidgeAdapter(), strength=1.0, gate=False, rng=0)
    warm.fit(catalog(PEOPLE, rng), catalog(BOTH, rng))
    study = {**provenance(), "people": PEOPLE, "items": ITEMS, "factors": WIDTH, "runs": []}
    with TemporaryDirectory() as folder:
        place = Path(folder)
        warm.save(place / "model")
        for count in ASKED:
            for given, made in FORMATS:
                ids = place / f"ids.{given}"
                write_ids(ids, count)
                run = measured(place / "model", ids, place / f"lists.{made}")
                study["runs"].append({"ids": count, "from": given, "to": made, **run})
                print(study["runs"][-1], flush=True)
    options.out.write_text(json.dumps(study, indent=1) + "\n")


if __name__ == "__main__":
    main()
