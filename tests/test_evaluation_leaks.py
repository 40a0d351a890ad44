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
from coldstart.evaluation import arms_for, evaluate
from coldstart.heldout import HeldOut
from coldstart.interactions import Interactions
from coldstart.protocols import Cold, FewAnchors, Launch, Mixed, Sampled, Temporal, task_of

SEED, SHOTS, N = 4, (0, 2), 5
ALPHA = 20.0  # the confidence of a weight of 1, as the factor models have it
TRIALS = 3  # what is tried is fitted in the same way as what is chosen
CANARY_ITEM = "~only held-out people have this"  # behind all other ids
CANARY_WEIGHTS = {"test": 977.3125, "validation": 733.6875}  # exact in float32
GROUPS = ("test", "validation")

# Warm arms differ in their adapters alone; folds have a canary in tests/test_tuning.py.
ARMS = [name for name in arms.ARMS if not name.startswith("warm:") or name == "warm:ridge"]


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
        settings = {
            "shots": SHOTS,
            "factors": 4,
            "n": N,
            "rng": SEED,
            "trials": TRIALS,
            "num_threads": 1,
        }
        self.results = evaluate(source, target, arms=self.arms, **settings)
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
        return holds(self.arms, canary, but)


def holds(arms, canary, but=()):
    return [
        arm.name
        for arm in arms
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
    timestamp = "time" if "time" in table.columns else None
    return Interactions.from_frame(table, weight="weight", timestamp=timestamp)


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(8)
    sizes = {"source_interactions": 14.0, "target_interactions": 9.0}
    drawn = make_cross_domain(130, 40, 34, **sizes, factors=5, target_factors=4, rng=rng)
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
    """The same table, and all these people have one more item."""
    new = {"user": people, "item": [CANARY_ITEM] * len(people), "weight": [1.0] * len(people)}
    return pl.concat([table, pl.DataFrame(new)])


def with_weight(table, people, weight):
    """The same table, and whatever these people have weighs as nothing else does."""
    theirs = pl.col("user").is_in(people)
    return table.with_columns(weight=pl.when(theirs).then(weight).otherwise("weight"))


@pytest.fixture(scope="module")
def rare(source, tables, people):
    return Run(source, log(with_item(tables[1], people["test"] + people["validation"])))


@pytest.fixture(scope="module")
def poisoned(source, tables, people):
    """Test people have other items, and more of them; each group has a weight of its own."""
    rng = np.random.default_rng(1)
    table = with_weight(tables[1], people["validation"], CANARY_WEIGHTS["validation"])
    kept = table.filter(~pl.col("user").is_in(people["test"]))
    items, weight = kept["item"].unique().sort().to_list(), CANARY_WEIGHTS["test"]
    rows = []
    for person in people["test"]:
        had = set(tables[1].filter(pl.col("user") == person)["item"])
        others = [item for item in items if item not in had]
        chosen = rng.permutation(others)[: len(had) + 3].tolist()
        rows += [{"user": person, "item": item, "weight": weight} for item in chosen]
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


def test_a_weight_that_only_test_people_have_is_in_no_fitted_object(poisoned):
    assert poisoned.holds(CANARY_WEIGHTS["test"]) == []


def test_a_weight_that_only_validation_people_have_is_nowhere_but_in_what_was_taken_from_them(
    poisoned,
):
    assert poisoned.holds(CANARY_WEIGHTS["validation"], but=(HeldOut,)) == []
    assert poisoned.holds(CANARY_WEIGHTS["validation"]) == list(ARMS)


@pytest.mark.parametrize("name", ARMS)
def test_other_target_rows_of_test_people_and_other_weights_leave_every_zero_shot_score_as_it_was(
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


# Every protocol, split by split

PROTOCOLS = {
    "cold": Cold(),
    "mixed": Mixed(),
    "launch": Launch(0.8),
    "temporal": Temporal(0.7),
    "anchors": FewAnchors(anchors=25),
    "sampled": Sampled(negatives=9),
}
AS_COLD = ("mixed", "anchors", "sampled")  # but for what is to be found, and by whom
SETTINGS = {"metric": "ndcg", "n": N, "factors": 4, "num_threads": 1, "side": "users"}


class Sat:
    """A split of a protocol, and every arm fitted on what it may see of it."""

    def __init__(self, protocol, tables):
        logs = [log(table) for table in tables]
        (self.split, *_) = protocol.splits(*logs, side="users", seed=SEED)
        task = task_of(
            self.split, self.split.source, shots=SHOTS, seed=SEED, trials=TRIALS, **SETTINGS
        )
        names = list(arms_for(protocol.name))
        names.remove("warm:ridge")
        if protocol.name not in AS_COLD:
            names.append("auto")  # which has all that a warm arm has
        self.arms = [Watched(name).fit(task) for name in names]
        self.names, self.users = names, logs[1].users.ids

    def scores(self):
        """What every arm says of the test people without shots."""
        test = self.split.test
        for arm in self.arms:
            arm.scorer(test.source, test.held.history(0), 0)
        return {arm.name: arm.scores[0, tuple(test.source)] for arm in self.arms}

    def pairs(self, people, matrix):
        """The pairs of ids in a matrix (n_people, n_columns)."""
        rows, columns = matrix.nonzero()
        users = self.users[people.held.rows]
        return set(zip(users[rows], self.split.train.items.ids[columns], strict=True))

    def fitted(self):
        """All that is the same whatever is hidden, in plain values."""
        for catalog in (self.split.train, self.split.source):
            yield catalog.users.ids.tolist(), catalog.items.ids.tolist()
            yield tuple(catalog.user_items.toarray().ravel())
        for people in (self.split.test, self.split.validation):
            yield people.source.tolist(), tuple(people.held.history(0).toarray().ravel())


def pairs_of(catalog):
    """Pairs of ids of a log."""
    cells = catalog.user_items.tocoo()
    return set(zip(catalog.users.ids[cells.row], catalog.items.ids[cells.col], strict=True))


def marked(table, pairs, *, weight=None, item=None):
    """The table with a weight or an item of their own in some pairs. An item is only exchanged
    where it is the last one of its person: what falls to entries in their order falls as before.
    """
    within = pl.DataFrame(list(pairs), schema=["user", "item"], orient="row")
    table = table.join(within.with_columns(within=True), ["user", "item"], "left").sort(
        "user", "item"
    )
    if weight is not None:
        table = table.with_columns(weight=pl.when("within").then(weight).otherwise("weight"))
    if item is not None:
        last = pl.col("item") == pl.col("item").max().over("user")
        exchanged = pl.col("within") & last
        assert table.filter(exchanged).height > 0
        table = table.with_columns(item=pl.when(exchanged).then(pl.lit(item)).otherwise("item"))
    return table.drop("within")


@pytest.fixture(scope="module")
def others(tables):
    """The tables with times."""
    rng = np.random.default_rng(3)
    return [table.with_columns(time=rng.integers(0, 500, len(table))) for table in tables]


@pytest.fixture(scope="module", params=PROTOCOLS)
def protocol(request):
    return PROTOCOLS[request.param]


@pytest.fixture(scope="module")
def before(protocol, others):
    return Sat(protocol, others)


@pytest.fixture(scope="module")
def secrets(before, others):
    """Pairs of the target that are hidden from everybody, and those of validation people; and
    pairs of the source that are.
    """
    split = before.split
    hidden = pairs_of(log(others[1])) - pairs_of(split.train)
    validation = before.pairs(split.validation, split.validation.held.truth(0))
    renamed = {user for user in split.source.users if user.endswith("?")}
    source = set() if renamed else pairs_of(log(others[0])) - pairs_of(split.source)
    return {"test": hidden - validation, "validation": validation, "source": source}


@pytest.fixture(scope="module")
def after(protocol, others, secrets):
    """What is hidden has a weight and an item that nothing else has."""
    source, target = others
    for group, weight in CANARY_WEIGHTS.items():
        target = marked(target, secrets[group], weight=weight)
    target = marked(target, secrets["test"], item=CANARY_ITEM)
    if secrets["source"]:
        weight = CANARY_WEIGHTS["test"]
        source = marked(source, secrets["source"], weight=weight, item=CANARY_ITEM)
    return Sat(protocol, [source, target])


def test_only_a_protocol_with_a_cut_hides_anything_of_the_source(protocol, secrets):
    assert bool(secrets["source"]) == (protocol.name == "temporal")
    assert secrets["test"]
    assert secrets["validation"]


def test_whatever_is_hidden_the_same_is_fitted(before, after):
    assert list(after.fitted()) == list(before.fitted())


def test_hidden_weights_and_items_are_in_no_fitted_object(after):
    assert holds(after.arms, CANARY_WEIGHTS["test"]) == []
    assert holds(after.arms, CANARY_ITEM) == []
    assert holds(after.arms, CANARY_WEIGHTS["validation"], but=(HeldOut,)) == []
    assert holds(after.arms, CANARY_WEIGHTS["validation"]) == after.names


def test_hidden_weights_and_items_change_no_zero_shot_score(before, after):
    expected = before.scores()
    for name, scores in after.scores().items():
        assert np.array_equal(scores, expected[name])


def test_an_item_that_only_validation_people_hide_is_nowhere(protocol, others, secrets):
    if protocol.name in AS_COLD:
        pytest.skip("people lose whole rows: see above")
    source, target = others
    target = marked(target, secrets["validation"], item=CANARY_ITEM)
    assert holds(Sat(protocol, [source, target]).arms, CANARY_ITEM) == []


def test_what_is_not_hidden_is_found(protocol, others, before):
    """The canaries sing in every arm where an anchor has them in the training log."""
    if protocol.name in AS_COLD:
        pytest.skip("what is fitted is that of the protocol cold")
    source, target = others
    linked = set(before.split.source.users) & set(before.split.train.users)
    tested = before.users[before.split.test.held.rows]
    kept = {pair for pair in pairs_of(before.split.train) if pair[0] in linked - set(tested)}
    weight = CANARY_WEIGHTS["test"]
    sighted = Sat(protocol, [source, marked(target, kept, weight=weight, item=CANARY_ITEM)])
    assert holds(sighted.arms, weight) == sighted.names
    assert holds(sighted.arms, CANARY_ITEM) == sighted.names
