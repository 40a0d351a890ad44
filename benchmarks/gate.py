"""How often the gate opens: where there is nothing to gain, and against the size of a true gain.

    python benchmarks/gate.py

draws the quality of held-out people, lets `decide` judge it thousands of times, and writes
`benchmarks/results/gate_statistics.json`; this takes three minutes.

    python benchmarks/gate.py --pairs 1000

fits whole warm starts instead, on synthetic catalogs that have nothing to do with each other, on a
fifth as many whose anchors are unlike the rest of the target as well (`apart.py`), and on others
with more and more noise, and writes `benchmarks/results/gate.json`, ten pairs at a time; it goes on
where it was stopped. A pair takes six seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from apart import anchors_apart
from numpy.typing import NDArray
from provenance import provenance
from scipy.special import ndtr
from study import Study

from coldstart import PriorALS, WarmStart
from coldstart.adapters import AutoAdapter
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
APART = (0.5, 1.0)  # from the mean of anchors to that of others, who spread by 0.5 around theirs
ANCHORS = 60  # of catalogs whose anchors are apart
NOISES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SIZES = {"n_users": 300, "n_source_items": 120, "n_target_items": 120}
FACTORS = 16
PART = 10  # pairs that are reported together


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


@dataclass(frozen=True)
class Kind:
    """Synthetic catalogs: unrelated ones, those whose anchors are so far from the rest besides, or
    such as are joined by a map that misses so much.
    """

    unrelated: bool = False
    noise: float = 0.5
    apart: float = 0.0

    def pair(self, seed: int) -> tuple[Interactions, Interactions]:
        """Source and target; only the seed differs between pairs of a kind."""
        if self.apart:
            return anchors_apart(ANCHORS, self.apart, seed)
        made = make_cross_domain(unrelated=self.unrelated, noise=self.noise, rng=seed, **SIZES)
        return tuple(made)


Fit = Callable[[Interactions, Interactions, int], Decision | None]


def warm_start(source: Interactions, target: Interactions, seed: int) -> Decision | None:
    """The decision of a whole warm start, as it comes but for the limit in seconds."""
    model = PriorALS(factors=FACTORS, rng=seed)
    warm = WarmStart(model, AutoAdapter(budget=None), rng=seed, num_threads=1)
    return warm.fit(source, target).report_.gate


def opened_by_pairs(kind: Kind, seeds: range, fit: Fit = warm_start) -> dict[str, Any]:
    """How often the gate opens, anywhere and at each number of shots.

    Pairs whose decision knows fewer numbers of shots, or for which there is none, count as closed
    at the others.
    """
    anywhere, counts = 0, dict.fromkeys(SHOTS, 0)
    causes: dict[str, int] = {}
    for seed in seeds:
        decision = fit(*kind.pair(seed), seed)
        if decision is None:
            continue
        anywhere += any(decision.open)
        for shots, is_open in zip(decision.shots, decision.open, strict=True):
            counts[shots] = counts.get(shots, 0) + is_open
        if decision.cause:
            causes[decision.cause] = causes.get(decision.cause, 0) + 1
    return {
        **asdict(kind),
        "seeds": [seeds.start, seeds.stop],
        "opened": anywhere,
        "by shots": counts,
        "causes": causes,
    }


def summed(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs of one kind added up."""
    rows = []
    named = [field.name for field in fields(Kind)]
    for kind in dict.fromkeys(tuple(run[name] for name in named) for run in runs):
        mine = [run for run in runs if tuple(run[name] for name in named) == kind]
        pairs = sum(run["seeds"][1] - run["seeds"][0] for run in mine)
        opened = sum(run["opened"] for run in mine)
        shots = {k: sum(run["by shots"][k] for run in mine) for k in mine[0]["by shots"]}
        rows.append(
            {
                **dict(zip(named, kind, strict=True)),
                "pairs": pairs,
                "opened": opened,
                "share": round(opened / pairs, 4),
                "by shots": {k: round(count / pairs, 4) for k, count in shots.items()},
            }
        )
    return rows


def whole(n: int, file: Path) -> None:
    """Whole warm starts on n unrelated pairs, on a tenth of n at each distance of the anchors, and
    on a fiftieth of n at every noise; a file that is there is gone on with.
    """
    study = Study.at(file, shots=SHOTS, sizes=SIZES, factors=FACTORS)
    wanted = [(Kind(True, apart=far), seeds) for seeds in _parts(n // 10) for far in APART]
    wanted += [(Kind(unrelated=True), seeds) for seeds in _parts(n)]
    wanted += [(Kind(noise=noise), seeds) for noise in NOISES for seeds in _parts(n // 50)]
    missing = [
        (kind, seeds)
        for kind, seeds in wanted
        if not study.find(**asdict(kind), seeds=[seeds.start, seeds.stop])
    ]
    with ProcessPoolExecutor() as pool:
        for done in as_completed([pool.submit(opened_by_pairs, *work) for work in missing]):
            run = study.add(json.loads(json.dumps(done.result())))
            study.summary = summed(study.runs)
            study.save()
            print(json.dumps(run), file=sys.stderr, flush=True)


def _parts(n: int) -> list[range]:
    return [range(start, min(start + PART, n)) for start in range(0, n, PART)]


def main() -> None:
    """Measure, report, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, help="of catalogs, for whole warm starts")
    options = parser.parse_args()
    if options.pairs:
        whole(options.pairs, FOLDER / "gate.json")
        return
    rows = []
    for row in statistics():
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    study = {**provenance(), "seeds": [SEED], "measurements": rows}
    FOLDER.joinpath("gate_statistics.json").write_text(json.dumps(study, indent=1) + "\n")


if __name__ == "__main__":
    main()
