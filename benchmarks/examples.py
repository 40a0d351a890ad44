"""The reports in `docs/examples`: a transfer that pays, and one that cannot.

    python benchmarks/examples.py --data ../shared/data

writes `food_kitchen.html` and `food_kitchen_shuffled.html`: `coldstart evaluate --out` as anybody
would run it, on Food -> Kitchen and on the same with the anchors' ids moved around one random
circle in the source, so that nobody's history is their own. Each must take less than three minutes
and a megabyte; the exit code is 1 where one does not, or where the verdicts are not those that they
must be.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "examples"
SECONDS, BYTES = 180, 1_000_000
SEED = 0
LOGS = {"food_kitchen": "amazon", "food_kitchen_shuffled": "amazon_with_shuffled_people"}
EXPECTED = {"food_kitchen": ("gain",), "food_kitchen_shuffled": ("no gain", "undecided")}


def main() -> None:
    """Write both reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=list(EXPECTED))
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = [
        written(name, options.data / "amazon") for name in EXPECTED if options.only in (None, name)
    ]
    sys.exit(not all(kept))


def written(name: str, data: Path) -> bool:
    """Write one report; whether it is as it must be."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, f"{LOGS[name]}.parquet")
        whole = pl.read_csv(data / "interactions.csv.gz", infer_schema_length=0)
        whole = whole.filter(pl.col("domain").is_in(["Food", "Kitchen"]))
        whole = shuffled(whole) if name.endswith("shuffled") else whole
        whole.with_columns(pl.col("timestamp").cast(pl.Int64)).write_parquet(log)
        shutil.copy(data / "items.csv.gz", Path(folder, "items.csv.gz"))
        began = time.perf_counter()
        subprocess.run(command(LOGS[name]), cwd=folder, check=True)
        seconds = time.perf_counter() - began
        found = json.loads(Path(folder, "results", "results.json").read_text())["findings"]
        page = Path(folder, "results", "report.html")
        size = page.stat().st_size
        shutil.copy(page, FOLDER / f"{name}.html")
    print(f"{name}: {seconds:.0f} s, {size / 1000:.0f} kB, {found['sentence']}", file=sys.stderr)
    return seconds <= SECONDS and size <= BYTES and found["answer"] in EXPECTED[name]


def command(log: str) -> list[str]:
    """What is run, in a folder with the log and the titles."""
    logs = "--source", f"{log}.parquet#Food", "--target", f"{log}.parquet#Kitchen"
    return [
        "coldstart",
        "evaluate",
        *logs,
        "--titles",
        "items.csv.gz",
        "--seed",
        str(SEED),
        "--out",
        "results",
    ]


def shuffled(log: pl.DataFrame) -> pl.DataFrame:
    """The log, the id of everybody in both catalogs given to another of them in the source."""
    people = [set(log.filter(domain=name)["user"]) for name in ("Food", "Kitchen")]
    circle = np.random.default_rng(SEED).permutation(sorted(people[0] & people[1]))
    others = dict(zip(circle.tolist(), np.roll(circle, 1).tolist(), strict=True))
    moved = pl.when(pl.col("domain") == "Food").then(pl.col("user").replace(others))
    return log.with_columns(moved.otherwise("user").alias("user"))


if __name__ == "__main__":
    main()
