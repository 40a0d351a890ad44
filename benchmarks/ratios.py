"""The ratios that are limited: how long this library takes, as a share of its reference.

    python benchmarks/ratios.py

measures both in one process, turn about, and writes `benchmarks/results/ratios.json`: the median of
the ratios of the rounds. It exits with 1 when a limit is broken. `--only` and `--factors` measure a
part and write nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matrices import long_tailed
from models import SEED, fit, row_prior
from provenance import provenance
from scipy.sparse import csr_matrix

from coldstart.adapters import RidgeAdapter
from coldstart.ranking import recommend_rows
from coldstart.threads import one_blas_thread

RESULTS = Path(__file__).parent / "results" / "ratios.json"
SHAPE = 60_000, 20_000, 3_000_000  # users, items, interactions
FACTORS = (64, 128, 256)
N_QUERIES, N_BEST = 10_000, 10
ANCHORS = 1_000_000, 128
EXACT_SWEEPS = 1  # the reference takes minutes for more

Work = Callable[[], Any]


@dataclass(frozen=True)
class Duel:
    """Two ways to do one work, and which share of the reference's time ours may take."""

    name: str
    factors: int
    limit: float
    reference: str
    theirs: Work
    ours: Work
    rounds: int
    sweeps: int | None = None

    def fought(self) -> dict[str, Any]:
        """Seconds of both in each round, theirs first, and the median ratio."""
        turns = [(_seconds(self.theirs), _seconds(self.ours)) for _ in range(self.rounds)]
        ratio = median(ours / theirs for theirs, ours in turns)
        facts = {k: v for k, v in vars(self).items() if k not in ("theirs", "ours")}
        return {
            **facts,
            "their_seconds": [round(theirs, 3) for theirs, _ in turns],
            "our_seconds": [round(ours, 3) for _, ours in turns],
            "ratio": round(ratio, 3),
            "kept": ratio <= self.limit,
        }


def _seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Options:
    """What of the measurement may be varied on the command line."""

    factors: tuple[int, ...] = FACTORS
    rounds: int = 3
    sweeps: int = 10
    shrink: int = 1


def cg(matrix: csr_matrix, options: Options) -> Iterator[Duel]:
    """Conjugate gradients, without a prior and with one for every row."""
    for d in options.factors:
        prior = row_prior(matrix.shape[0], d)
        for name, belief, limit in (("cg", None, 1.0), ("cg, per-row prior", prior, 1.05)):
            yield Duel(
                name,
                d,
                limit,
                "implicit",
                lambda d=d: fit("implicit", matrix, d, options.sweeps),
                lambda d=d, belief=belief: fit(
                    "coldstart", matrix, d, options.sweeps, prior=belief
                ),
                options.rounds,
                options.sweeps,
            )


def exact(matrix: csr_matrix, options: Options) -> Iterator[Duel]:
    """The exact solver, with few sweeps."""
    sweeps = min(EXACT_SWEEPS, options.sweeps)
    for d in options.factors:
        theirs, ours = (
            lambda d=d, library=library: fit(library, matrix, d, sweeps, solver="cholesky")
            for library in ("implicit", "coldstart")
        )
        yield Duel("exact", d, 1.0, "implicit", theirs, ours, options.rounds, sweeps)


def ranking(matrix: csr_matrix, options: Options) -> Iterator[Duel]:
    """The best of the full catalog for many people, without what they have seen."""
    people = np.random.default_rng(SEED).permutation(matrix.shape[0])[:N_QUERIES]
    for d in options.factors:
        model = fit("implicit", matrix, d, 1)

        def theirs(model=model) -> Any:
            with one_blas_thread():  # it has threads of its own
                return model.recommend(people, matrix[people], N=N_BEST)

        def ours(model=model) -> Any:
            users, items = model.user_factors[people], model.item_factors
            return recommend_rows(users, items, N_BEST, seen=matrix[people])

        yield Duel("ranking", d, 1.0, "implicit", theirs, ours, options.rounds)


def adapters(_: csr_matrix, options: Options) -> Iterator[Duel]:
    """A linear map of many anchors, fitted and used, beside the one product that each needs."""
    n, d = ANCHORS[0] // options.shrink, ANCHORS[1]
    rng = np.random.default_rng(SEED)
    source, target = (rng.standard_normal((n, d), np.float32) for _ in range(2))
    adapter = RidgeAdapter(1.0, normalize=False).fit(source, target)
    coef = adapter.coef_.astype(np.float32)
    works: dict[str, tuple[Work, Work]] = {
        "map, fit": (
            lambda: source.T @ target,
            lambda: RidgeAdapter(1.0, normalize=False).fit(source, target),
        ),
        "map, predict": (lambda: source @ coef, lambda: adapter.predict(source)),
    }
    for name, (theirs, ours) in works.items():
        yield Duel(name, d, 3.0, "one product", theirs, ours, 3 * options.rounds)


PARTS = {"cg": cg, "exact": exact, "ranking": ranking, "adapters": adapters}


def compile_all(matrix: csr_matrix, options: Options) -> None:
    """Do all the works once on few rows: what is timed afterwards is compiled and loaded."""
    small = Options((8,), rounds=1, sweeps=1, shrink=200 * options.shrink)
    few = matrix[:2000]
    for part in PARTS.values():
        for duel in part(few, small):
            duel.fought()


def main() -> None:
    """Measure, report on stdout, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--factors", type=int, nargs="*", default=Options.factors)
    parser.add_argument("--rounds", type=int, default=Options.rounds)
    parser.add_argument("--sweeps", type=int, default=Options.sweeps)
    parser.add_argument("--shrink", type=int, default=Options.shrink, help="divides all sizes")
    given = parser.parse_args()
    options = Options(tuple(given.factors), given.rounds, given.sweeps, given.shrink)
    matrix = long_tailed(*(size // given.shrink for size in SHAPE), SEED)
    compile_all(matrix, options)
    found = []
    for name, part in PARTS.items():
        if given.only in (None, name):
            for duel in part(matrix, options):
                found.append(duel.fought())
                print(_line(found[-1]), flush=True)
    if (given.only, options) == (None, Options()):
        study = {**provenance(), "seeds": [SEED], "shape": SHAPE, "options": asdict(options)}
        RESULTS.write_text(json.dumps({**study, "ratios": found}, indent=1) + "\n")
    sys.exit(0 if all(row["kept"] for row in found) else 1)


def _line(row: dict[str, Any]) -> str:
    verdict = "kept" if row["kept"] else "BROKEN"
    times = f"{median(row['our_seconds']):.2f} s beside {median(row['their_seconds']):.2f} s"
    return (
        f"{row['name']}, {row['factors']} factors: {times} of {row['reference']}, "
        f"ratio {row['ratio']:.3f} of {row['limit']:.2f}, {verdict}"
    )


if __name__ == "__main__":
    main()
