"""Nothing of held-out people's target rows reaches a fitted object or a list."""

from collections.abc import Mapping
from functools import cached_property
from types import FunctionType, MethodType, ModuleType

import numpy as np
import polars as pl
import pytest

from coldstart import arms
from coldstart.arms import make_arm
from coldstart.datasets import make_cross_domain
from coldstart.evaluation import evaluate
from coldstart.heldout import HeldOut
from coldstart.interactions import Interactions
from coldstart.protocols import Cold

SEED, SHOTS, N = 4, (0, 2), 5
ALPHA = 20.0  # the confidence of a weight of 1, as the factor models have it
CANARY_ITEM, CANARY_WEIGHT = "only held-out people have this", 977.3125  # exact in float32
GROUPS = ("test", "validation")

# Warm arms differ in their adapters alone; folds have a canary in tests/test_tuning.py.
ARMS = [
    name
    for name in arms.ARMS
    if not name.startswith("warm:") or name in ("warm:mean", "warm:ridge")
]


class Watched:
    """An arm that keeps what it was fitted on and every score it gave."""

    def __init__(self, name):
        self.arm = make_arm(name)
        self.name, self.uses_source = self.arm.name, self.arm.uses_source
        self.scores = {}

    def fit(self, task):
        self.task = task
        self.arm.fit(task)
        return self

    def scorer(self, source, history, shots):
        scores = self.arm.scorer(source, history, shots)(slice(0, len(source)))
        self.scores[shots, tuple(source)] = scores
        return scores.__getitem__

    def settings(self):
        return self.arm.settings()


class Run:
    """One evaluation of every arm, watched."""

    def __init__(self, source, target):
        self.arms = [Watched(name) for name in ARMS]
        self.results = evaluate(
            source, target, shots=SHOTS, arms=self.arms, factors=6, n=N, rng=SEED
        )
        self.split = Cold().split(source, target, side="users", seed=SEED)
        self.config = self.results.config

    def scores(self, name, shots, group="test"):
        """Scores (n_people, n_items) that an arm gave the people of a group."""
        (arm,) = (arm for arm in self.arms if arm.name == name)
        return arm.scores[shots, tuple(getattr(self.split, group).source)]

    @cached_property
    def rows(self):
        return self.results.to_json()["rows"]

    def holds(self, canary, *, but=()):
        """Names of the arms from which a canary can be reached, other than through some types."""
        return [
            arm.name
            for arm in self.arms
            if any(_is(canary, value) for value in reachable((arm.arm, arm.task), but))
        ]


def reachable(start, but):
    """All arrays, numbers and strings that can be reached from an object, whatever holds them."""
    waiting, seen = [start], {}  # kept alive, so that no id is used twice
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (type, ModuleType, *but)):
            continue
        seen[id(thing)] = thing
        if np.isscalar(thing) or (isinstance(thing, np.ndarray) and thing.dtype != object):
            yield thing
        elif isinstance(thing, Mapping):
            waiting += [*thing.keys(), *thing.values()]
        elif isinstance(thing, list | tuple | set | frozenset | np.ndarray):
            waiting += list(thing)
        elif isinstance(thing, FunctionType):
            cells = thing.__closure__ or ()
            waiting += [cell.cell_contents for cell in cells] + list(thing.__defaults__ or ())
        elif isinstance(thing, MethodType):
            waiting += [thing.__self__, thing.__func__]
        else:
            slots = [
                name for kind in type(thing).__mro__ for name in vars(kind).get("__slots__", ())
            ]
            waiting += [getattr(thing, name, None) for name in slots]
            waiting += list(getattr(thing, "__dict__", {}).values())


def _is(canary, value):
    if isinstance(canary, str) or isinstance(value, str):
        return isinstance(value, str) and canary == value
    return bool(np.isin(np.asarray(value), [canary, ALPHA * canary]).any())


def frame(catalog, rng):
    """A log as a table, with weights between 1 and 3."""
    entries = catalog.user_items.tocoo()
    columns = {
        "user": catalog.users.ids[entries.row].tolist(),
        "item": catalog.items.ids[entries.col].tolist(),
        "weight": rng.uniform(1, 3, entries.nnz),
    }
    return pl.DataFrame(columns)


def log(table):
    return Interactions.from_frame(table, weight="weight")


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(8)
    sizes = {"source_interactions": 14.0, "target_interactions": 9.0}
    drawn = make_cross_domain(210, 60, 50, **sizes, factors=5, target_factors=4, rng=rng)
    return [frame(catalog, rng) for catalog in drawn]


@pytest.fixture(scope="module")
def source(tables):
    return log(tables[0])


@pytest.fixture(scope="module")
def plain(source, tables):
    return Run(source, log(tables[1]))


@pytest.fixture(scope="module")
def people(source, plain):
    """Who was held out, by group."""
    return {
        group: source.users.ids[getattr(plain.split, group).source].tolist() for group in GROUPS
    }


def with_item(table, people):
    """The same log, and all these people have one more item."""
    new = {"user": people, "item": [CANARY_ITEM] * len(people), "weight": [1.0] * len(people)}
    return log(pl.concat([table, pl.DataFrame(new)]))


def with_weight(table, people):
    """The same log, and whatever these people have weighs as nothing else does."""
    theirs = pl.col("user").is_in(people)
    weight = pl.when(theirs).then(CANARY_WEIGHT).otherwise("weight")
    return log(table.with_columns(weight.alias("weight")))


@pytest.fixture(scope="module")
def rare(source, tables, people):
    return Run(source, with_item(tables[1], people["test"] + people["validation"]))


@pytest.fixture(scope="module")
def heavy(source, tables, people):
    """For each group, an evaluation in which its people have the weight."""
    return {group: Run(source, with_weight(tables[1], people[group])) for group in GROUPS}


@pytest.fixture(scope="module")
def poisoned(source, tables, people):
    """Test people have other items, more of them, of other weights."""
    rng = np.random.default_rng(1)
    kept = tables[1].filter(~pl.col("user").is_in(people["test"]))
    items = kept["item"].unique().sort().to_list()
    rows = []
    for person in people["test"]:
        had = set(tables[1].filter(pl.col("user") == person)["item"])
        others = [item for item in items if item not in had]
        chosen = rng.permutation(others)[: len(had) + 3].tolist()
        rows += [{"user": person, "item": item, "weight": rng.uniform(5, 9)} for item in chosen]
    return Run(source, log(pl.concat([kept, pl.DataFrame(rows)])))


def test_an_item_that_only_held_out_people_have_is_in_no_fitted_object(rare):
    assert rare.holds(CANARY_ITEM) == []


def test_an_item_that_only_held_out_people_have_is_in_no_list_and_changes_no_number(plain, rare):
    assert CANARY_ITEM not in rare.split.train.items
    for name in ARMS:
        for shots in SHOTS:
            assert np.array_equal(rare.scores(name, shots), plain.scores(name, shots))
    assert rare.rows == plain.rows
    assert rare.config["settings"] == plain.config["settings"]


def test_an_item_that_only_held_out_people_have_is_dropped_from_the_truth_and_counted(plain, rare):
    name = "test_interactions_outside_catalog"
    assert rare.config[name] == plain.config[name] + len(rare.split.test)


def test_a_weight_that_only_test_people_have_is_in_no_fitted_object(heavy):
    assert heavy["test"].holds(CANARY_WEIGHT) == []


def test_a_weight_that_only_validation_people_have_is_nowhere_but_in_what_was_taken_from_them(
    heavy,
):
    assert heavy["validation"].holds(CANARY_WEIGHT, but=(HeldOut,)) == []
    assert heavy["validation"].holds(CANARY_WEIGHT) != []


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("group", GROUPS)
def test_weights_of_held_out_people_leave_every_zero_shot_score_as_it_was(
    plain, heavy, group, name
):
    assert np.array_equal(heavy[group].scores(name, 0), plain.scores(name, 0))


@pytest.mark.parametrize("name", ARMS)
def test_other_target_rows_of_test_people_leave_every_zero_shot_score_as_it_was(
    plain, poisoned, name
):
    assert poisoned.split.test.source.tolist() == plain.split.test.source.tolist()
    assert np.array_equal(poisoned.scores(name, 0), plain.scores(name, 0))


def test_zero_shot_lists_are_the_same_but_the_truth_they_meet_is_not(plain, poisoned):
    for name in ARMS:
        before, after = (run.results.value(name, 0, "coverage").mean for run in (plain, poisoned))
        assert before == after
    quality = [run.results.value("popularity", 0).mean for run in (plain, poisoned)]
    assert quality[0] > 2 * quality[1]


def test_canaries_of_people_who_are_not_held_out_are_found(source, tables, plain):
    (keeps, *_) = (user for user in plain.split.train.users if user in set(source.users))
    sighted = Run(source, with_item(tables[1], [keeps]))
    assert sighted.holds(CANARY_ITEM) == list(ARMS)
    sighted = Run(source, with_weight(tables[1], [keeps]))
    assert sighted.holds(CANARY_WEIGHT) == list(ARMS)
    assert any(_is(CANARY_WEIGHT, value) for value in reachable(sighted.arms[-1].arm, ()))
