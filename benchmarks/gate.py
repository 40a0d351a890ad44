"""How often the gate opens: where there is nothing to gain, and against the size of a true gain.

    python benchmarks/gate.py

draws the quality of held-out people, lets `decide` judge it thousands of times, and writes
`benchmarks/results/gate_statistics.json`; this takes three minutes.

    python benchmarks/gate.py --pairs 1000

fits whole warm starts instead, on synthetic catalogs that have nothing to do with each other and on
others with more and more noise, and writes `benchmarks/results/gate.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from provenance import provenance
from scipy.special import ndtr

from coldstart.datasets import make_cross_domain
from coldstart.gate import Decision, decide
from coldstart.interactions import Interactions

Array = NDArray[np.float64]

FOLDER = Path(__file__).parent / "results"
SEED = 0
SHOTS = (0, 1, 2, 5)
CANDIDATES = 4
FOLDS = 5
LIFTED = 0.3  # share of the people who gain, where anybody does
LIKE = {"person, candidate": 0.8, "person, shots": 0.8, "candidate, baseline": 0.6}  # correlations
PEOPLE = (30, 60, 200, 1000)
EFFECTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
RESAMPLES = 999
NULL_REPLICATES, POWER_REPLICATES = 2000, 500
NOISES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Catalog:
    """How often lists hit anything, and the mean NDCG of those that do: candidates, baseline.

    Both multiply to the same, so that differences have mean zero.
    """

    hit: tuple[float, float]
    size: tuple[float, float]


CATALOGS = {
    "few hits": Catalog((0.08, 0.08), (0.4, 0.4)),
    "some hits": Catalog((0.25, 0.25), (0.4, 0.4)),
    "many hits": Catalog((0.7, 0.7), (0.4, 0.4)),
    "rare large gains": Catalog((0.12, 0.3), (0.5, 0.2)),
    "rare large losses": Catalog((0.3, 0.12), (0.2, 0.5)),
}


def draw(
    catalog: Catalog, people: int, effect: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Quality (candidates, shots, people) and baseline (shots, people) of people at random.

    Zero where the list hits nothing, else a power of a uniform number. `effect` is the mean gain of
    every candidate in standard deviations of the difference; 30% of the people have it.
    """
    quality, baseline = _unlifted(catalog, people, rng)
    if effect:
        spread = _spread(catalog)
        gain = effect * spread / np.sqrt(1 - effect**2 * (1 - LIFTED) / LIFTED)
        quality = quality + gain / LIFTED * (rng.random(people) < LIFTED)
    return quality, baseline


def _unlifted(catalog: Catalog, people: int, rng: np.random.Generator) -> tuple[Array, Array]:
    alike, steady, tied = LIKE.values()
    shape = CANDIDATES, len(SHOTS), people
    parts = [
        np.sqrt(weight) * rng.standard_normal(size)
        for weight, size in (
            (alike * steady, (1, 1, people)),
            ((1 - alike) * steady, (CANDIDATES, 1, people)),
            (alike * (1 - steady), (1, len(SHOTS), people)),
            ((1 - alike) * (1 - steady), shape),
        )
    ]
    latent = parts[0] + parts[1] + parts[2] + parts[3]
    common = (parts[0] + parts[2])[0] / np.sqrt(alike)  # (shots, people)
    other = np.sqrt(tied) * common + np.sqrt(1 - tied) * rng.standard_normal(shape[1:])
    candidates, without = zip(catalog.hit, catalog.size, strict=True)
    return _zero_inflated(latent, *candidates), _zero_inflated(other, *without)


def _zero_inflated(latent: Array, hit: float, size: float) -> Array:
    """Zero with probability 1 - hit, else of mean size, from standard normal numbers."""
    return np.asarray(np.clip((ndtr(latent) - 1 + hit) / hit, 0, 1) ** (1 / size - 1))


@cache
def _spread(catalog: Catalog) -> float:
    """Standard deviation of the differences."""
    quality, baseline = _unlifted(catalog, 100_000, np.random.default_rng(SEED))
    return float((quality - baseline).std())


def cross_fitted(gain: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Which candidate (people,) was best for the people of the other folds."""
    fold = rng.integers(FOLDS, size=gain.shape[2])
    best = [gain[:, :, fold != f].mean(axis=(1, 2)).argmax() for f in range(FOLDS)]
    return np.asarray(best)[fold]


def opened(catalog: Catalog, people: int, effect: float, replicates: int) -> dict[str, Any]:
    """Shares of replicates in which the gate opens at each number of shots.

    For a candidate named beforehand and for one chosen on other folds.
    """
    rng = np.random.default_rng(SEED)
    counts = {"fixed": np.zeros(len(SHOTS)), "cross-fitted": np.zeros(len(SHOTS))}
    for _ in range(replicates):
        quality, baseline = draw(catalog, people, effect, rng)
        choice = cross_fitted(quality - baseline, rng)
        arms = {f"candidate {j}": values for j, values in enumerate(quality)}
        mixed = quality[choice, :, np.arange(people)].T
        for name, given, chosen in (
            ("fixed", arms, "candidate 0"),
            ("cross-fitted", {**arms, "chosen": mixed}, "chosen"),
        ):
            counts[name] += decide(
                given,
                baseline,
                chosen=chosen,
                shots=SHOTS,
                baseline_names=("none",) * len(SHOTS),
                resamples=RESAMPLES,
                rng=rng,
            ).open
    return {name: (count / replicates).round(4).tolist() for name, count in counts.items()}


def statistics() -> Iterator[dict[str, Any]]:
    """Rows of the simulation of `decide`."""
    for name, catalog in CATALOGS.items():
        for people in PEOPLE:
            replicates = NULL_REPLICATES if people < 1000 else NULL_REPLICATES // 4
            yield _row(name, catalog, people, 0.0, replicates)
    for people in PEOPLE:
        for effect in EFFECTS:
            replicates = POWER_REPLICATES if people < 1000 else POWER_REPLICATES // 4
            yield _row("some hits", CATALOGS["some hits"], people, effect, replicates)
    for name in ("few hits", "many hits", "rare large gains", "rare large losses"):
        yield _row(name, CATALOGS[name], 200, 0.2, POWER_REPLICATES)


def _row(
    name: str, catalog: Catalog, people: int, effect: float, replicates: int
) -> dict[str, Any]:
    shares = opened(catalog, people, effect, replicates)
    row = {"catalog": name, "people": people, "effect": effect, "replicates": replicates}
    return {**row, "opened": shares}


Fit = Callable[[Interactions, Interactions, int], Decision]


def of_pairs(fit: Fit, pairs: Iterable[tuple[Interactions, Interactions]]) -> dict[str, Any]:
    """How often `fit` (source, target, seed) opens the gate, anywhere and at each number of shots.

    Pairs whose decision knows fewer numbers of shots count as closed at the others.
    """
    anywhere, total, counts = 0, 0, dict.fromkeys(SHOTS, 0)
    causes: dict[str, int] = {}
    for seed, (source, target) in enumerate(pairs):
        decision = fit(source, target, seed)
        total, anywhere = total + 1, anywhere + any(decision.open)
        for shots, is_open in zip(decision.shots, decision.open, strict=True):
            counts[shots] = counts.get(shots, 0) + is_open
        if decision.cause:
            causes[decision.cause] = causes.get(decision.cause, 0) + 1
    return {"pairs": total, "opened": anywhere, "by shots": counts, "causes": causes}


def unrelated(n: int) -> Iterator[tuple[Interactions, Interactions]]:
    """Catalogs of the same people, whose tastes in one say nothing of those in the other."""
    for seed in range(n):
        yield tuple(make_cross_domain(unrelated=True, rng=seed))


def noisy(n: int, noise: float) -> Iterator[tuple[Interactions, Interactions]]:
    """Catalogs joined by a map that misses so much."""
    for seed in range(n):
        yield tuple(make_cross_domain(noise=noise, rng=seed))


def warm_start(source: Interactions, target: Interactions, seed: int) -> Decision:
    """The decision of a whole warm start."""
    from coldstart.als import PriorALS
    from coldstart.warmstart import WarmStart

    warm = WarmStart(PriorALS(factors=16, rng=seed), gate=True, rng=seed)
    return warm.fit(source, target).report_.gate


def whole(n: int, fit: Fit = warm_start) -> Iterator[dict[str, Any]]:
    """Rows of whole warm starts: n unrelated pairs, and a twentieth of n at every noise."""
    yield {"unrelated": True, **of_pairs(fit, unrelated(n))}
    for noise in NOISES:
        yield {"noise": noise, **of_pairs(fit, noisy(max(1, n // 20), noise))}


def main() -> None:
    """Measure, report, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, help="of catalogs, for whole warm starts")
    options = parser.parse_args()
    rows = []
    for row in whole(options.pairs) if options.pairs else statistics():
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    study = {**provenance(), "seeds": [SEED], "measurements": rows}
    name = "gate.json" if options.pairs else "gate_statistics.json"
    FOLDER.joinpath(name).write_text(json.dumps(study, indent=1) + "\n")


if __name__ == "__main__":
    main()
