"""The search: which way to cross, how strongly, and which way without a source, by the quality of
held-out people.

A choice is a function of some of the people. Made for all of them it is what is served; made
without the people of one fold it is measured on them, which is what the gate sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray

from coldstart.evidence import SoftGate, fit_soft
from coldstart.strength import WHOSE, Fallback, NullArm, Strength
from coldstart.trials import KNOBS, Bench, Crossing, Fold, Pull

__all__ = [
    "Choice",
    "NullChoice",
    "Outer",
    "Plan",
    "choose",
    "choose_null",
    "outer_quality",
    "pull_space",
    "soften",
    "tempers",
    "usable_shots",
]

People = NDArray[np.float64]
Mask = NDArray[np.bool_]

CENTRES = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5)
TEMPERS = (0.1, 0.3, 1.0, 3.0, 10.0)
BLENDS = (0.0, 0.15, 0.3, 0.6, 1.0)
RIDGES = (1.0, 0.0)  # of the mapped side, as multiples of the model's
PASSES = 2  # over tempers, centres and blends
POOLED = 0.25  # weight of the average over all numbers of shots beside that of one's own
PROBES = (0.3, 2.0)  # tempers at which crossings are compared with each other, the better counts
FUSED = (2, 3)  # finalists in a mean
NULL_TEMPERS = (0.1, 0.3, 1.0, 3.0, 10.0)
PLAIN_RIDGES = (1.0, 10.0, 100.0)  # without a prior, as multiples of the model's
BELIEF = (
    0.1  # squared relative gains of other ways than the usual one, over what they lose on average
)
IMAGINED = 10  # people beside those who were asked, whose differences are as large as most are
DIFFERING = 0.3  # their variance, as a share of that of quality
LEAST_PEOPLE = 10  # with anything left to find, for a number of shots to have a strength of its own


@dataclass(frozen=True)
class Plan:
    """What may be tried.

    Parameters
    ----------
    sources, targets : int
        How many source and target models there are; the first ones are the default.
    finalists : int
        Families of adapters that are tried with every source model, and fused.
    fuse, blend : bool
        Whether means of adapters, and a blend with the row map, are tried.
    trials : int
        Most crossings that are compared, and most arms without a source, each with each target
        model that it is tried with.
    shots : tuple of int
    fixed : Strength or None
        The pull, where it is not to be chosen.
    absolute : bool
        Whether the ridge of `fixed` is meant as it is, and not as a multiple of the target model's.
    soft : bool
        Whether the choice is served row by row, by how well it foretold the row: see `soften`.
    """

    sources: int = 1
    targets: int = 1
    finalists: int = 1
    fuse: bool = False
    blend: bool = False
    trials: int = 64
    shots: tuple[int, ...] = (0, 1, 2, 5)
    fixed: Strength | None = None
    absolute: bool = False
    soft: bool = False


@dataclass(frozen=True)
class Choice:
    """A crossing, and its pull for each number of shots."""

    crossing: Crossing
    pulls: dict[int, Pull] = field(hash=False)

    def strength(self, regularization: float) -> Strength:
        """The pulls, the target model's ridge being that."""
        shots = tuple(self.pulls)
        centre, temper, blend = (
            tuple(getattr(self.pulls[k], name) for k in shots)
            for name in ("centre", "temper", "blend")
        )
        ridge = self.pulls[shots[0]].regularization(regularization)
        return Strength(shots, centre, temper, ridge, blend)


@dataclass(frozen=True)
class NullChoice:
    """The best arm without a source for each number of shots; their ridges are multiples of the
    target model's.
    """

    target: int
    arms: dict[int, NullArm] = field(hash=False)

    def fallback(self, regularization: float) -> Fallback:
        """The arms, the target model's ridge being that."""
        arms = tuple(arm.times(regularization) for arm in self.arms.values())
        return Fallback(tuple(self.arms), arms)


def choose(bench: Bench, plan: Plan, people: Mask) -> Choice:
    """The way to cross that is best for some of the people.

    One crossing serves every number of shots. Adapters are compared at two tempers with the first
    source and target model; the best of each family, as many as `finalists`, with the other source
    models; then means of some of them; the winner with the other target models. Temper, centre and
    blend are chosen for each number of shots, in turns, by its own quality and with little weight
    that of all the others; the ridge for all of them. What is compared is `cautious`: the first
    adapter with the first models is at home, and so is every knob where it stands.
    """
    tried: dict[Crossing, float] = {}
    home = _probe(bench, plan, Crossing(), people)

    def worth(crossing: Crossing) -> float:
        if crossing not in tried:
            tried[crossing] = cautious(_probe(bench, plan, crossing, people), home)
        return tried[crossing]

    def best_of(options: Iterable[Crossing]) -> Crossing:
        first, *others = options
        worth(first)
        for other in others:
            if other in tried or _affordable(bench, plan, other, len(tried)):
                worth(other)
        return max((option for option in (first, *others) if option in tried), key=worth)

    families = [
        best_of(map(Crossing, numbers))
        for number, numbers in enumerate(bench.families())
        if not number or _affordable(bench, plan, Crossing(numbers[0]), len(tried))
    ]
    finalists = sorted(families, key=worth, reverse=True)[: plan.finalists]
    finalists = [
        best_of(replace(finalist, source=s) for s in _first(finalist.source, plan.sources))
        for finalist in finalists
    ]
    best = max(finalists, key=worth)
    if plan.fuse:
        means = [
            parts
            for count in FUSED
            for parts in combinations([f.adapter for f in finalists], count)
            if bench.fusible(*parts)
        ]
        best = best_of([best, *(replace(best, adapter=bench.fused(*parts)) for parts in means)])
    targets = [replace(best, target=t) for t in _first(best.target, plan.targets)]
    best = best_of(filter(bench.fits, targets))
    return Choice(best, _pulls(bench, plan, best, people))


def choose_null(
    bench: Bench,
    plan: Plan,
    people: Mask,
    target: int | None = None,
    *,
    popular: bool = True,
    careful: bool = False,
) -> NullChoice:
    """The arms without a source that are best for some of the people, all with one target model
    (the one of that number, where it is given); `popular` lists among them or not.

    All arms are compared with the default target model, however little may be tried, and those that
    are best there with every other one that a crossing was measured with: a source must not win for
    want of a rival. Rivals are taken by their plain means; what serves is chosen with care, that is
    `cautious`, and by strangers too where the bench has some. These know nothing of who the anchors
    are: with them arms of all rows are compared first, and then the anchors choose whose they are.
    """
    strangers = careful and bool(bench.strangers)

    def worth(quality: People, home: People) -> float:
        return cautious(quality, home) if careful else _mean(quality)

    def theirs(arm: NullArm, number: int, k: int) -> People:
        return bench.null_quality(arm, number, k)[people]

    def quality(arm: NullArm, number: int, k: int) -> People:
        if not strangers:
            return theirs(arm, number, k)
        return _all_quality(bench, arm, number, k, people)

    def best(number: int, k: int) -> NullArm:
        options = [arm for arm in _null_arms(k, popular) if arm.whose == "all" or not strangers]
        home = quality(options[0], number, k)
        return max(options, key=lambda arm: worth(quality(arm, number, k), home))

    def of_whom(arm: NullArm, number: int, k: int) -> NullArm:
        options = [other for other in _null_arms(k, popular) if other.of("all") == arm]
        home = theirs(arm, number, k)
        if np.count_nonzero(~np.isnan(home)) < LEAST_PEOPLE:
            return arm
        return max(options, key=lambda other: worth(theirs(other, number, k), home))

    arms = {k: best(target or 0, k) for k in plan.shots}
    if target is None:
        others = [number for number in range(1, plan.targets) if bench.has_tried(number)]
        shares = {n: _shares([quality(arms[k], n, k) for k in arms]) for n in (0, *others)}
        target = max(shares, key=lambda number: worth(shares[number], shares[0]))
        if target:
            arms = {k: best(target, k) for k in plan.shots}
    if strangers:
        arms = {k: of_whom(arm, target, k) for k, arm in arms.items()}
    return NullChoice(target, arms)


def soften(
    bench: Bench, plan: Plan, choice: Choice, people: Mask
) -> tuple[SoftGate, dict[int, NullArm]]:
    """How far some of the people would trust the choice for each row, and for each number of shots
    what it is weighed against: what would serve the row if no source knew it.

    One gate serves every number of shots.
    """
    target = choice.crossing.target
    arms = choose_null(bench, plan, people, target, popular=False, careful=True).arms
    delta, transfer, null = (
        np.stack(rows)[:, people]
        for rows in zip(
            *(
                (
                    bench.delta(choice.crossing, pull, arms[k], k),
                    bench.quality(choice.crossing, pull, k),
                    bench.null_quality(arms[k], target, k),
                )
                for k, pull in choice.pulls.items()
            ),
            strict=True,
        )
    )
    if np.isnan(transfer - null).all():  # nobody has anything left to find, which closes the gate
        return SoftGate(0.0, 0.0), arms
    return fit_soft(delta, transfer, null), arms


@dataclass(frozen=True, eq=False)
class Outer:
    """Quality of people by choices that were made without their fold.

    Parameters
    ----------
    quality : dict of str to array (n_shots, n_people)
        Of the choice ("auto"), as it would be served, and of the best of each family of adapters.
    baseline : array (n_shots, n_people)
        Of the arm without a source that is best for all of them, their own fold included: what is
        against the transfer is one arm, in its best light.
    baseline_names : tuple of str, for each number of shots
        Its ridge as it is and not as a multiple.
    """

    quality: dict[str, NDArray[np.float64]]
    baseline: NDArray[np.float64]
    baseline_names: tuple[str, ...]


def outer_quality(bench: Bench, plan: Plan, tick: Callable[[], object] = lambda: None) -> Outer:
    """Measure the whole search on every fold, made without that fold, and what it has to beat."""
    n_people = len(bench.groups)
    shape = len(plan.shots), n_people
    quality: dict[str, NDArray[np.float64]] = {}
    for number in range(len(bench.folds)):
        tick()
        inside = bench.groups == number
        choice = choose(bench, plan, ~inside)
        softened = soften(bench, plan, choice, ~inside) if plan.soft else None
        candidates = {"auto": (choice.crossing, choice.pulls)}
        for numbers in bench.families():
            if any(bench.knows(Crossing(number)) for number in numbers):
                candidates[bench.family(numbers)] = _best_in(bench, plan, numbers, ~inside)
        for name, (crossing, pulls) in candidates.items():
            out = quality.setdefault(name, np.full(shape, np.nan))
            for place, k in enumerate(plan.shots):
                out[place, inside] = bench.quality(crossing, pulls[k], k)[inside]
        if softened is not None:
            gate, arms = softened
            for place, k in enumerate(plan.shots):
                mixed = bench.mixed_quality(choice.crossing, choice.pulls[k], arms[k], gate, k)
                quality["auto"][place, inside] = mixed[inside]
    null = choose_null(bench, plan, np.ones(n_people, bool))
    baseline = [bench.null_quality(arm, null.target, k) for k, arm in null.arms.items()]
    names = tuple(bench.null_name(arm, null.target) for arm in null.arms.values())
    return Outer(quality, np.stack(baseline), names)


def usable_shots(folds: Sequence[Fold], shots: Sequence[int]) -> tuple[int, ...]:
    """Those of the numbers at which enough people have something left to find."""
    return tuple(k for k in shots if not k or sum(f.finders(k) for f in folds) >= LEAST_PEOPLE)


def _affordable(bench: Bench, plan: Plan, crossing: Crossing, tried: int) -> bool:
    if bench.late or not all(map(bench.room, plan.shots)):
        return bench.knows(crossing)
    return tried < plan.trials


def _first(number: int, count: int) -> list[int]:
    """All numbers below `count`, that one first."""
    return [number, *(other for other in range(count) if other != number)]


def _null_arms(shots: int, popular: bool) -> list[NullArm]:
    """Arms without a source, the usual one first; ridges are multiples of the target model's."""
    whose = ("all", "anchors")
    lists = [NullArm("popularity", who, 1.0, 1.0) for who in whose] if popular else []
    means = [NullArm("mean", who, 1.0, 1.0) for who in WHOSE]
    if not shots:
        return [*means, *lists]
    plain = [NullArm("plain", "all", 1.0, ridge) for ridge in PLAIN_RIDGES]
    tempered = [NullArm("mean", *knobs) for knobs in product(WHOSE, NULL_TEMPERS, RIDGES)]
    return list(dict.fromkeys([*means, *lists, *plain, *tempered]))


def _best_in(
    bench: Bench, plan: Plan, numbers: Sequence[int], people: Mask
) -> tuple[Crossing, dict[int, Pull]]:
    """The best of one family with the first models, and the better of two tempers for each number
    of shots.
    """
    known = [c for c in map(Crossing, numbers) if bench.knows(c)]
    home = _probe(bench, plan, known[0], people)
    best = max(known, key=lambda crossing: cautious(_probe(bench, plan, crossing, people), home))
    return best, {k: _better_probe(bench, plan, best, k, people) for k in plan.shots}


def _probes(plan: Plan, shots: int) -> list[Pull]:
    """The pulls at which crossings are compared with each other."""
    if plan.fixed is not None:
        return [_fixed_pulls(plan.fixed, plan)[shots]]
    return [Pull(temper=temper) for temper in (PROBES if shots else (1.0,))]


def _better_probe(bench: Bench, plan: Plan, crossing: Crossing, shots: int, people: Mask) -> Pull:
    first, *others = _probes(plan, shots)
    home = bench.quality(crossing, first, shots)[people]

    def worth(pull: Pull) -> float:
        return cautious(bench.quality(crossing, pull, shots)[people], home)

    may = (pull for pull in others if bench.may(crossing, pull, shots))
    return max(chain([first], may), key=worth)


def _probe(bench: Bench, plan: Plan, crossing: Crossing, people: Mask) -> People:
    """What each person adds to the mean quality over all numbers of shots, the better of two
    tempers each.
    """
    rows = [
        bench.quality(crossing, _better_probe(bench, plan, crossing, k, people), k)[people]
        for k in plan.shots
    ]
    return _shares(rows)


def _fixed_pulls(given: Strength, plan: Plan) -> dict[int, Pull]:
    return {
        k: Pull(
            given.centre[p], given.temper[p], given.regularization, given.blend[p], plan.absolute
        )
        for k, p in zip(plan.shots, given.bucket(np.array(plan.shots)), strict=True)
    }


def _pulls(bench: Bench, plan: Plan, crossing: Crossing, people: Mask) -> dict[int, Pull]:
    if plan.fixed is not None:
        return _fixed_pulls(plan.fixed, plan)
    starts = tempers(bench, plan.shots, people, crossing.target)
    pulls = {k: _start(bench, plan, crossing, k, temper, people) for k, temper in starts.items()}

    def settle(name: str, values: Sequence[float], shots: Sequence[int]) -> None:
        grid: dict[int, dict[float, People]] = {k: {} for k in shots}
        for k in shots:
            bench.quality(crossing, pulls[k], k)  # others have what room it leaves
            for value in dict.fromkeys((*values, getattr(pulls[k], name))):
                pull = pulls[k].turned(name, value)
                if bench.may(crossing, pull, k):
                    grid[k][value] = bench.quality(crossing, pull, k)[people]
        for k, value in _for_each(grid, {k: getattr(pulls[k], name) for k in shots}).items():
            pulls[k] = pulls[k].turned(name, value)

    knobs = [("temper", TEMPERS, plan.shots[1:]), ("centre", CENTRES, plan.shots)]
    if plan.blend:
        knobs.append(("blend", BLENDS, plan.shots))
    for _ in range(PASSES):
        for knob in knobs:
            settle(*knob)
    shared = {
        ridge: _shares([bench.quality(crossing, turned[k], k)[people] for k in pulls])
        for ridge, turned in (
            (ridge, {k: replace(pull, ridge=ridge) for k, pull in pulls.items()})
            for ridge in RIDGES
        )
        if ridge == RIDGES[0] or all(bench.may(crossing, turned[k], k) for k in pulls)
    }
    ridge = max(shared, key=lambda ridge: cautious(shared[ridge], shared[RIDGES[0]]))
    return {k: replace(pull, ridge=ridge) for k, pull in pulls.items()}


def _start(
    bench: Bench, plan: Plan, crossing: Crossing, shots: int, temper: float, people: Mask
) -> Pull:
    """Where the choice of a pull starts: at what was measured, where nothing new may be tried."""
    pull = Pull(temper=temper)
    if bench.may(crossing, pull, shots):
        return pull
    return _better_probe(bench, plan, crossing, shots, people)


def pull_space(plan: Plan) -> dict[str, list[float]]:
    """Values of each knob of a pull that may be tried."""
    if plan.fixed is not None:
        pulls = _fixed_pulls(plan.fixed, plan).values()
        return {name: sorted({getattr(pull, name) for pull in pulls}) for name in KNOBS}
    return {
        "centre": list(CENTRES),
        "temper": sorted({*TEMPERS, *PROBES, *NULL_TEMPERS}),
        "ridge": list(RIDGES),
        "blend": list(BLENDS) if plan.blend else [0.0],
    }


def tempers(bench: Bench, shots: Sequence[int], people: Mask, target: int = 0) -> dict[int, float]:
    """Where the choice of tempers starts: at the adapter's own precision, or with strangers at what
    serves them and these people best around the mean, from which few anchors move it seldom.
    """
    found = dict.fromkeys(shots, 1.0)
    arms = {temper: NullArm("mean", "all", temper, RIDGES[0]) for temper in (1.0, *NULL_TEMPERS)}
    for k in filter(None, shots) if bench.strangers else ():
        quality = {t: _all_quality(bench, arm, target, k, people) for t, arm in arms.items()}
        worth = {temper: cautious(values, quality[1.0]) for temper, values in quality.items()}
        found[k] = max(worth, key=worth.__getitem__)
    return found


def _all_quality(bench: Bench, arm: NullArm, target: int, shots: int, people: Mask) -> People:
    """Quality of some of the anchors, and of all strangers behind them."""
    theirs = bench.null_quality(arm, target, shots)[people]
    return np.append(theirs, bench.strangers_quality(arm, target, shots))


def _for_each(grid: dict[int, dict[float, People]], now: dict[int, float]) -> dict[int, float]:
    """Best value of a knob for each number of shots: by its own relative quality, and a little by
    everybody's.
    """
    relative: dict[int, dict[float, float]] = {}
    for k, row in grid.items():
        best = max(_mean(people) for people in row.values()) or 1.0
        relative[k] = {value: cautious(people, row[now[k]]) / best for value, people in row.items()}

    def worth(k: int, value: float) -> tuple[float, bool]:
        pooled = _mean(row[value] for row in relative.values() if value in row)
        return relative[k][value] + POOLED * pooled, value == now[k]

    return {k: max(row, key=partial(worth, k)) for k, row in relative.items()}


def cautious(people: People, home: People) -> float:
    """Mean quality of `people` (n,), less what its difference to that of `home` owes to chance.

    Other ways lose a little on average and gain much at times: a relative gain of mean -m and
    variance v, seen with the standard error e, is expected to be above zero where it was seen
    above ``e^2 m / v``. v / m is `BELIEF`. With thirty people that keeps nearly every choice at
    home, with a thousand hardly any. `IMAGINED` people are counted in the variance: ten who happen
    to differ little do not show how much people differ.
    """
    difference = people - home
    known = difference[~np.isnan(difference)]
    quality = max(_mean(home), _mean(people))
    if not quality or not known.any():
        return quality
    n, usual = len(known), DIFFERING * float(np.nanvar(home))
    variance = (n * float(known.var()) + IMAGINED * usual) / (n + IMAGINED)
    return _mean(people) - variance / n / (BELIEF * quality)


def _shares(rows: Sequence[People]) -> People:
    """What each person (n_people,) adds to the mean over all rows of their means: the mean of it is
    that mean.
    """
    quality = np.stack(rows)
    known = ~np.isnan(quality)
    weight = quality.shape[1] / np.maximum(known.sum(axis=1, keepdims=True), 1)
    shares: People = np.where(known, quality * weight, 0.0).mean(axis=0)
    return shares


def _mean(values: Iterable[float] | People) -> float:
    """Mean of what is not NaN; 0 where nothing is."""
    array = np.fromiter(values, float)
    known = array[~np.isnan(array)]
    return float(known.mean()) if known.size else 0.0
