"""How long compiling takes, which is cached: the first call of each kernel less its second.

    python benchmarks/compile_time.py

begins with an empty cache, lets every use of compiled code compile what those before it did not,
each in a process of its own, and writes `benchmarks/results/compile.json`. It exits with 1 when
their sum is above the limit. `--only` measures one of them and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from models import SEED, fit, matrix_prior, row_prior
from provenance import provenance

from coldstart import Prior, PriorALS
from coldstart.ranking import recommend_rows, top_n
from coldstart.rows import solve_into

RESULTS = Path(__file__).parent / "results" / "compile.json"
LIMIT_SECONDS = 15.0
N_USERS, N_ITEMS, FACTORS = 300, 200, 8


def uses() -> dict[str, Callable[[], Any]]:
    """Every use of compiled code, in the order in which they are measured."""
    log = sp.random(N_USERS, N_ITEMS, 0.05, "csr", np.float32, random_state=SEED)
    rows = row_prior(N_USERS, FACTORS)
    shared = matrix_prior(N_USERS, FACTORS)
    each = Prior(rows.mean, np.full(rows.mean.shape, 5.0))
    rng = np.random.default_rng(SEED)
    users, items = (rng.standard_normal((n, FACTORS), np.float32) for n in log.shape)
    model = PriorALS(FACTORS, rng=SEED).restore(users, items, rows, 20.0)
    return {
        "fit, cg": lambda: fit("coldstart", log, FACTORS, 1),
        "fit, exact": lambda: fit("coldstart", log, FACTORS, 1, solver="cholesky"),
        "fit, cg, per-row prior": lambda: fit("coldstart", log, FACTORS, 1, prior=rows),
        "fit, cg, shared-matrix prior": lambda: fit("coldstart", log, FACTORS, 1, prior=shared),
        "fit, cg, per-entry prior": lambda: fit("coldstart", log, FACTORS, 1, prior=each),
        "fold-in, shared-matrix prior": lambda: model.fold_in(log, prior=shared),
        "fold-in, per-entry prior": lambda: model.fold_in(log, prior=each),
        "covariances": lambda: solve_into(
            users.copy(), log, items, regularization=20.0, covariance=np.zeros(2 * (FACTORS,))
        ),
        "recommend": lambda: recommend_rows(users, items, 10, seen=log),
        "top n": lambda: top_n(users @ items.T, 10, seen=log),
    }


def measured(name: str, cache: str) -> dict[str, Any]:
    """What a process of its own says of one use."""
    command = [sys.executable, __file__, "--child", name]
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    child = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return json.loads(child.stdout)


def called_twice(name: str) -> dict[str, Any]:
    """Seconds of the first and of the second call in this process."""
    use, seconds = uses()[name], []
    for _ in range(2):
        began = time.perf_counter()
        use()
        seconds.append(time.perf_counter() - began)
    first, second = seconds
    return {
        "name": name,
        "first_seconds": round(first, 4),
        "second_seconds": round(second, 4),
        "compile_seconds": round(first - second, 3),
    }


def main() -> None:
    """Measure, report on stdout, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=uses())
    parser.add_argument("--child", choices=uses(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(called_twice(options.child)))
        return
    with tempfile.TemporaryDirectory() as cache:
        found = []
        for name in [options.only] if options.only else uses():
            found.append(measured(name, cache))
            print(f"{name}: {found[-1]['compile_seconds']:.2f} s", flush=True)
    total = sum(row["compile_seconds"] for row in found)
    print(f"in all {total:.1f} of {LIMIT_SECONDS:.0f} s")
    if options.only is None:
        study = {**provenance(), "seeds": [SEED], "limit_seconds": LIMIT_SECONDS}
        study |= {"total_seconds": round(total, 2), "uses": found}
        RESULTS.write_text(json.dumps(study, indent=1) + "\n")
    sys.exit(0 if total < LIMIT_SECONDS else 1)


if __name__ == "__main__":
    main()
