"""Eight threads ask and one updates, under each of numba's threading layers.

    python benchmarks/at_once.py

writes `benchmarks/results/at_once.json`. Every answer that is looked at has to be, bit for bit,
that of a state the model was in between the call and the answer: states are kept, and asked again.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from provenance import provenance

from coldstart import Interactions, PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain

RESULTS = Path(__file__).parent / "results" / "at_once.json"
LAYERS = ("workqueue", "omp")
ASKING = 8


def stress(seconds: float) -> dict[str, Any]:
    """Ask and update for so long, in this process."""
    source, target = make_cross_domain(800, 400, 300, factors=6, rng=0)
    rng = np.random.default_rng(0)
    warm = WarmStart(
        PriorALS(32, iterations=3, rng=0), RidgeAdapter(), strength=1.0, gate=False, rng=0
    ).fit(source, target)
    states = [copy.copy(warm)]
    users, items = list(warm.ids("users")), list(warm.ids("items"))
    counts, errors = Counter[str](), []
    end = time.monotonic() + seconds

    def ask(seed: int) -> None:
        mine = np.random.default_rng(seed)
        while time.monotonic() < end and not errors:
            asked = [users[r] for r in mine.integers(len(users), size=3)]
            told = {asked[0]: [items[c] for c in mine.integers(len(items), size=2)]}
            try:
                first = max(0, len(states) - 2)  # the last one may not be served yet
                found = warm.recommend(asked, 7, history=told)
                last = len(states)
                counts["answers"] += 1
                if counts["answers"] % 5 == 0:
                    kept = states[first:last]
                    counts["looked at"] += 1
                    if not any(_same(found, one.recommend(asked, 7, history=told)) for one in kept):
                        errors.append(f"an answer of none of {len(kept)} states")
            except Exception as error:
                errors.append(repr(error))

    def update() -> None:
        number = 0
        while time.monotonic() < end and not errors:
            number += 1
            frame = pl.DataFrame(
                {
                    "user": [users[rng.integers(len(users))], f"new{number % 50}"],
                    "item": [items[rng.integers(len(items))], f"fresh{number % 20}"],
                }
            )
            try:
                following = copy.copy(states[-1]).update(Interactions.from_frame(frame))
                states.append(following)
                warm.update(Interactions.from_frame(frame))
                counts["updates"] += 1
            except Exception as error:
                errors.append(repr(error))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(ASKING)]
    threads.append(threading.Thread(target=update))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {**counts, "wrong": errors}


def _same(one: Any, other: Any) -> bool:
    return one[0].tolist() == other[0].tolist() and one[1].tobytes() == other[1].tobytes()


def main() -> None:
    """One process for each layer, and the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--here", action="store_true", help="in this process, as it is")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(stress(options.seconds)))
        return
    study: dict[str, Any] = {**provenance(), "seconds": options.seconds, "asking": ASKING}
    for layer in LAYERS:
        done = subprocess.run(
            [sys.executable, __file__, "--here", f"--seconds={options.seconds}"],
            env={**os.environ, "NUMBA_THREADING_LAYER": layer},
            capture_output=True,
            text=True,
            check=False,
        )
        found = json.loads(done.stdout.splitlines()[-1]) if done.stdout else done.stderr[-500:]
        study[layer] = {"exit": done.returncode, "found": found}
    options.out.write_text(json.dumps(study, indent=1) + "\n")
    print(json.dumps(study, indent=1))


if __name__ == "__main__":
    main()
