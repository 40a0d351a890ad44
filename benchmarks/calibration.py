"""How well prior covariances foretell the scores of people whom nothing has seen.

    python benchmarks/calibration.py --data ../shared/data

writes `benchmarks/results/calibration.json`, run by run: six pairs, three adapters.

The people are those of the protocol `cold`: test and validation people lose all target rows before
target model, map or any choice is fitted. A warm start without a gate is fitted on the rest. What
its adapter says of a person u is a Gaussian with mean m and covariance C, as the adapter states it:
centre, temper and row map of the warm start are not applied. The true score of column i is that of
the person's exact row x, folded in without a prior, with all target interactions and the ridge of
the target model, as the anchors' rows are. Then ::

    z = (y_i'x - y_i'm) / sqrt(y_i'C y_i)

The covariances are those of anchors' residuals, whose rows were estimated in the same way: how
uncertain x itself is, is in them already. So "prior" adds nothing. "prior and row" adds
``y_i'A^-1 y_i`` to the variance, A being the matrix of x's own equation; it is what one would do
were C the spread of true rows, and counts that uncertainty twice here.

Columns are those that the person has ("own") and as many others, at random. Own columns are no fair
draw: the person has them because they score high, and x is fitted to them, so a prior that is right
is too low there. They are reported apart, and so are the others with a scale of their own, for both
together may hold on average where neither does.

Coverage is the share of pairs inside the central interval of 50, 80 and 95%, with a 95% bootstrap
interval over people. "before" is as stated; "after" multiplies all standard deviations by one
number, the one with the least largest error of the three coverages among validation people. Test
people are others. A prior is calibrated where each coverage is within 8 points after that.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from intervals import ratio_of_means
from numpy.typing import NDArray
from reference import PAIRS
from scipy.special import ndtri
from study import FOLDER, Study, read_pair

from coldstart.adapters import named
from coldstart.als import PriorALS
from coldstart.arms import People
from coldstart.interactions import Interactions
from coldstart.prior import Prior
from coldstart.protocols import Cold
from coldstart.rows import gram_matrix, solve_rows
from coldstart.warmstart import WarmStart

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ADAPTERS = ("ridge", "canonical", "auto")
LEVELS = (0.5, 0.8, 0.95)
WITHIN = 0.08
SCALES = np.geomspace(0.02, 50, 2000)
SEED = 0


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--adapters", nargs="*", default=list(ADAPTERS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER / "calibration.json")
    options = parser.parse_args()
    study = Study.at(options.out, seeds=[SEED], levels=LEVELS, within=WITHIN)
    for adapter in options.adapters:
        for pair in options.pairs:
            if study.find(pair=pair, adapter=adapter) is None:
                run = study.add(_run(options.data, pair, adapter, options.threads))
                study.save()
                print(_line(run), file=sys.stderr, flush=True)


def _line(run: dict[str, Any]) -> str:
    """Coverage in percent, before and after the scale."""
    found = run["prior"]
    before, after = (
        " ".join(f"{100 * share:.0f}" for share, _, _ in found[when])
        for when in ("before", "after")
    )
    return f"{run['pair']}, {run['adapter']}: {before}, times {found['scale']:.2f}: {after}"


def _run(data: Path, pair: str, adapter: str, threads: int) -> dict[str, Any]:
    source, target, factors = read_pair(data, pair)
    split = Cold(order="random").split(source, target, side="users", seed=SEED)
    began = time.perf_counter()
    model = PriorALS(factors, rng=SEED, num_threads=threads)
    warm = WarmStart(model, named(adapter), gate=False, rng=SEED, num_threads=threads)
    warm.fit(source, split.train)
    fitted = time.perf_counter()
    rng = np.random.default_rng(SEED)
    validation, test = (
        foretold(warm, source, people, rng) for people in (split.validation, split.test)
    )
    return {
        "pair": pair,
        "adapter": adapter,
        "chosen": warm.report_.adapter,
        "width": warm.model_.factors,
        "people": {"validation": len(split.validation), "test": len(split.test)},
        "pairs": len(test.person),
        "prior": judged(validation, test, row=False),
        "prior and row": judged(validation, test, row=True),
        "prior, others": judged(validation.others, test.others, row=False),
        "seconds": {
            "fit": round(fitted - began, 1),
            "scores": round(time.perf_counter() - fitted, 1),
        },
    }


@dataclass(frozen=True, eq=False)
class Foretold:
    """Pairs of a person and a column, (n_pairs,) each.

    Parameters
    ----------
    person : array of row numbers
    own : array of bool
        Whether the person has the column.
    error : array
        True score less the score of the prior mean.
    variance : array
        Of the score under the prior.
    row : array
        How uncertain the score of the true row is.
    """

    person: Integers
    own: NDArray[np.bool_]
    error: Array
    variance: Array
    row: Array

    def z(self, *, row: bool) -> Array:
        """Standardised errors; `row` adds the uncertainty of the true row to the variance."""
        return self.error / np.sqrt(self.variance + row * self.row)

    @property
    def others(self) -> Foretold:
        """The pairs that are nobody's own."""
        return Foretold(*(values[~self.own] for values in vars(self).values()))


def foretold(
    warm: WarmStart, source: Interactions, people: People, rng: np.random.Generator
) -> Foretold:
    """What a warm start, fitted without these people, says of their scores, and what they are."""
    model, held = warm.model_, people.held.matrix
    columns = model.item_factors
    rows = warm.ids("users").rows(source.users.ids[people.source])
    prior = warm.served_.mapped.belief.prior.take(rows)
    gram = gram_matrix(columns)
    truth = solve_rows(
        held,
        columns,
        alpha=model.alpha,
        regularization=model.regularization,
        num_threads=warm.num_threads,
        gram=gram,
    )
    person, column, own = asked(held, rng)
    y = columns[column].astype(np.float64)
    ridged = gram + model.regularization * np.eye(len(gram))
    return Foretold(
        person,
        own,
        np.einsum("nj,nj->n", y, (truth - prior.mean)[person]),
        score_variance(prior, person, y),
        row_variance(held, columns, model.alpha, ridged, person, y),
    )


def asked(
    held: sp.csr_matrix, rng: np.random.Generator
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Person, column, and whether it is an own one: all own ones of everybody, and as many others
    (as there are).
    """
    n_people, n_columns = held.shape
    persons, columns, owns = [], [], []
    for u in range(n_people):
        own = held.indices[held.indptr[u] : held.indptr[u + 1]]
        others = np.setdiff1d(np.arange(n_columns), own)
        drawn = rng.choice(others, min(len(own), len(others)), replace=False)
        columns += [own, drawn]
        owns += [np.ones(len(own), bool), np.zeros(len(drawn), bool)]
        persons.append(np.full(len(own) + len(drawn), u))
    return np.concatenate(persons), np.concatenate(columns), np.concatenate(owns)


def score_variance(prior: Prior, person: Integers, y: Array) -> Array:
    """``y'C y`` (n_pairs,) of the person's own covariance, for columns `y` (n_pairs, d)."""
    row, spread, shared = prior.parts()
    scale = np.broadcast_to(row, len(prior))[person]
    if shared.size:
        return np.einsum("nj,jk,nk->n", y, np.linalg.inv(shared), y, optimize=True) / scale
    precision = np.broadcast_to(spread, prior.mean.shape)[person]
    return np.einsum("nj,nj->n", y**2, 1 / precision) / scale


def row_variance(
    held: sp.csr_matrix,
    columns: NDArray[np.float32],
    alpha: float,
    ridged: Array,
    person: Integers,
    y: Array,
) -> Array:
    """``y'A^-1 y`` (n_pairs,), with ``A = Y'Y + R I + sum_S (c_i - 1) y_i y_i'`` of each person."""
    out = np.empty(len(person))
    begin = np.searchsorted(person, np.arange(held.shape[0] + 1))
    for u in range(held.shape[0]):
        part = slice(held.indptr[u], held.indptr[u + 1])
        own = columns[held.indices[part]].astype(np.float64)
        matrix = ridged + (own.T * (alpha * held.data[part].astype(np.float64) - 1)) @ own
        mine = slice(begin[u], begin[u + 1])
        root = scipy.linalg.cholesky(matrix, lower=True)
        half = scipy.linalg.solve_triangular(root, y[mine].T, lower=True)
        out[mine] = (half**2).sum(axis=0)
    return out


def judged(validation: Foretold, test: Foretold, *, row: bool) -> dict[str, Any]:
    """Coverage among test people, before and after the scale of the validation people."""
    z = test.z(row=row)
    scale = best_scale(validation.z(row=row))
    kinds = {"own": test.own, "others": ~test.own}
    kinds = {name: which for name, which in kinds.items() if which.any()}
    after = coverage(z / scale, test.person)
    return {
        "scale": round(scale, 4),
        "before": coverage(z, test.person),
        "after": after,
        "calibrated": calibrated([share for share, _, _ in after]),
        **{name: _part(z[which], test.person[which], scale) for name, which in kinds.items()},
    }


def _part(z: Array, person: Integers, scale: float) -> dict[str, Any]:
    """Mean and root mean square of z as stated, and coverage after the scale of both kinds."""
    moments = float(z.mean()), float(np.sqrt((z**2).mean()))
    return {"z": [round(v, 4) for v in moments], "after": coverage(z / scale, person)}


def best_scale(z: Array) -> float:
    """The number to divide by that makes the largest error of the coverages smallest."""
    sizes = np.sort(np.abs(z))
    shares = [
        np.searchsorted(sizes, SCALES * half_width(level), side="right") / len(z)
        for level in LEVELS
    ]
    errors = np.abs(np.array(shares) - np.array(LEVELS)[:, None]).max(axis=0)
    return float(SCALES[np.argmin(errors)])


def coverage(z: Array, person: Integers) -> list[list[float]]:
    """Share of the pairs inside each of `LEVELS`, with its interval over people."""
    person = np.unique(person, return_inverse=True)[1]
    pairs = np.bincount(person)
    found = []
    for level in LEVELS:
        inside = np.bincount(person, weights=np.abs(z) <= half_width(level))
        found.append([round(v, 4) for v in ratio_of_means(inside, pairs, rng=SEED)])
    return found


def calibrated(shares: list[float]) -> bool:
    """Whether the coverage of each of `LEVELS` is within 8 points of it."""
    return bool(np.abs(np.subtract(shares, LEVELS)).max() <= WITHIN)


def half_width(level: float) -> float:
    """Of the central interval of a standard normal."""
    return float(ndtri((1 + level) / 2))


if __name__ == "__main__":
    main()
