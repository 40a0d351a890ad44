"""Cold: who is held out, what is left to train on, and that the seed alone decides."""

import hashlib
import json

import numpy as np
import polars as pl
import pytest

from coldstart.errors import AnchorError, DataError
from coldstart.interactions import Interactions
from coldstart.protocols import Cold

N_SOURCE, N_SOURCE_ITEMS = 83, 37
N_TARGET, N_TARGET_ITEMS = 97, 29
FIRST_IN_TARGET = 21  # people 21..82 are in both catalogs
PINNED = "572d8fadef416c73e0085610dba7f365e2df93966376d42b642b5ac0c69b8504"


def pairs(people, n_items, prefix, *, step):
    """A log by arithmetic alone, without any random generator: about a fifth of all pairs."""
    rows = [
        {
            "user": f"p{person}",
            "item": f"{prefix}{item}",
            "weight": 1 + (person + item) % 5,
            "time": (person * 31 + item * 17) % 19,
        }
        for person in people
        for item in range(n_items)
        if (person * person * 7 + item * item * step + person * item) % 11 <= person % 4
    ]
    return pl.DataFrame(rows)


def source_frame():
    return pairs(range(N_SOURCE), N_SOURCE_ITEMS, "s", step=13)


def target_frame():
    people = range(FIRST_IN_TARGET, FIRST_IN_TARGET + N_TARGET)
    return pairs(people, N_TARGET_ITEMS, "t", step=5)


def log(frame, *, time=True):
    return Interactions.from_frame(frame, weight="weight", timestamp="time" if time else None)


@pytest.fixture(scope="module")
def source():
    return log(source_frame())


@pytest.fixture(scope="module")
def target():
    return log(target_frame())


@pytest.fixture(scope="module")
def split(source, target):
    return Cold().split(source, target, side="users", seed=3)


def entries(matrix, users, items):
    """{(user, item): weight} of a matrix."""
    coo = matrix.tocoo()
    return {
        (users[row], items[column]): float(weight)
        for row, column, weight in zip(coo.row, coo.col, coo.data, strict=True)
    }


def ids_of(people, source):
    return source.users.ids[people.source].tolist()


def described(split, source):
    """Everything about a split in plain values: people, their items in order, what is trained."""
    items = split.train.items.ids
    groups = {}
    for name, people in (("test", split.test), ("validation", split.validation)):
        held = people.held
        groups[name] = {
            person: [
                items[column]
                for _, column in sorted(
                    (held.rank[entry], held.matrix.indices[entry])
                    for entry in range(held.matrix.indptr[row], held.matrix.indptr[row + 1])
                )
            ]
            for row, person in enumerate(ids_of(people, source))
        }
        groups[name, "dropped"] = held.dropped.tolist()
    train = entries(split.train.user_items, split.train.users.ids, items)
    groups["train"] = sorted((user, item, weight) for (user, item), weight in train.items())
    return [[str(key), value] for key, value in groups.items()]


def fingerprint(split, source):
    text = json.dumps(described(split, source), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_seed_makes_the_same_split_on_every_machine(split, source):
    assert fingerprint(split, source) == PINNED


@pytest.mark.parametrize("order", ["auto", "time", "random"])
def test_the_order_of_the_rows_in_the_files_does_not_matter(order):
    def made(shuffled):
        frames = source_frame(), target_frame()
        if shuffled:
            frames = [frame.sample(fraction=1.0, shuffle=True, seed=7) for frame in frames]
        source, target = map(log, frames)
        found = Cold(order=order).split(source, target, side="users", seed=3)
        return described(found, source)

    assert made(shuffled=True) == made(shuffled=False)


def test_the_order_of_matrix_rows_does_not_matter(source, target, split):
    def permuted(catalog):
        rows = np.random.default_rng(2).permutation(len(catalog.users))
        matrix, people = catalog.user_items[rows], catalog.users.ids[rows]
        return Interactions.from_csr(matrix, users=people, items=catalog.items)

    moved = permuted(source)
    found = Cold(order="random").split(moved, permuted(target), side="users", seed=3)
    expected = Cold(order="random").split(source, target, side="users", seed=3)
    assert described(found, moved) == described(expected, source)
    assert ids_of(found.test, moved) == ids_of(split.test, source)


def test_another_seed_holds_out_other_people(source, target, split):
    other = Cold().split(source, target, side="users", seed=4)
    assert set(ids_of(other.test, source)) != set(ids_of(split.test, source))


def test_test_and_validation_people_are_disjoint(split, source):
    test, validation = ids_of(split.test, source), ids_of(split.validation, source)
    assert len(set(test) | set(validation)) == len(test) + len(validation)
    assert len(test) == len(split.test)


def test_both_groups_lose_every_target_row(split, source):
    held = {*ids_of(split.test, source), *ids_of(split.validation, source)}
    assert not held & set(split.train.users)


def test_everybody_else_keeps_every_interaction(split, source, target):
    held = {*ids_of(split.test, source), *ids_of(split.validation, source)}
    everything = entries(target.user_items, target.users.ids, target.items.ids)
    kept = {pair: weight for pair, weight in everything.items() if pair[0] not in held}
    train = split.train
    assert entries(train.user_items, train.users.ids, train.items.ids) == kept


@pytest.mark.parametrize("group", ["test", "validation"])
def test_what_was_taken_is_what_these_people_had(split, source, target, group):
    people = getattr(split, group)
    names = ids_of(people, source)
    assert target.users.ids[people.held.rows].tolist() == names
    everything = entries(target.user_items, target.users.ids, target.items.ids)
    known = set(split.train.items)
    taken = {
        pair: weight
        for pair, weight in everything.items()
        if pair[0] in set(names) and pair[1] in known
    }
    assert entries(people.held.matrix, names, split.train.items.ids) == taken


def test_people_need_five_interactions_on_both_sides(split, source):
    counts = [
        dict(frame.group_by("user").len().iter_rows()) for frame in (source_frame(), target_frame())
    ]
    eligible = {
        person
        for person in counts[0].keys() & counts[1].keys()
        if min(count[person] for count in counts) >= 5
    }
    assert 5 in {min(count[person] for count in counts) for person in eligible}
    assert split.eligible == len(eligible) < len(counts[0].keys() & counts[1].keys())
    assert {*ids_of(split.test, source), *ids_of(split.validation, source)} <= eligible


def test_shares_are_of_the_eligible_rounded_down(source, target):
    rule = Cold(test_share=0.3, validation_share=0.15)
    found = rule.split(source, target, side="users", seed=0)
    assert len(found.test) == int(0.3 * found.eligible)
    assert len(found.validation) == int(0.15 * found.eligible)


def test_truth_outside_the_training_catalog_is_dropped_and_counted(split, source):
    held = [*ids_of(split.test, source), *ids_of(split.validation, source)]
    rare = pl.DataFrame(
        [{"user": p, "item": f"only {k}", "weight": 1, "time": 0} for p in held for k in range(2)]
    )
    found = Cold().split(source, log(pl.concat([target_frame(), rare])), side="users", seed=3)
    assert found.train.items == split.train.items
    for group in ("test", "validation"):
        people, before = getattr(found, group), getattr(split, group)
        assert (people.held.dropped == before.held.dropped + 2).all()
        assert (people.held.matrix != before.held.matrix).nnz == 0
        assert np.array_equal(people.held.rank, before.held.rank)


@pytest.mark.parametrize("order", ["auto", "time"])
def test_interactions_come_back_in_time_order_where_there_is_time(source, target, order):
    held = Cold(order=order).split(source, target, side="users", seed=3).test.held
    times = {
        (row["user"], row["item"]): row["time"] for row in target_frame().iter_rows(named=True)
    }
    found = Cold(order=order).split(source, target, side="users", seed=3)
    names, items = ids_of(found.test, source), found.train.items.ids
    for row, person in enumerate(names):
        part = slice(held.matrix.indptr[row], held.matrix.indptr[row + 1])
        in_order = held.matrix.indices[part][np.argsort(held.rank[part])]
        came = [times[person, items[column]] for column in in_order]
        assert came == sorted(came)


def test_in_random_order_time_is_forgotten_by_the_training_log_too(source, target):
    found = Cold(order="random").split(source, target, side="users", seed=3)
    assert found.train.timestamps is None
    untimed = Cold().split(source, log(target_frame(), time=False), side="users", seed=3)
    assert described(found, source) == described(untimed, source)


@pytest.mark.parametrize("shots", [0, 1, 3, 99])
def test_what_comes_back_and_what_is_to_be_found_are_everything_and_never_the_same(split, shots):
    held = split.test.held
    history, truth = held.history(shots), held.truth(shots)
    assert history.multiply(truth).nnz == 0
    assert ((history + truth) != held.matrix).nnz == 0
    sizes = np.diff(held.matrix.indptr)
    assert np.array_equal(np.diff(history.indptr), np.minimum(sizes, shots))


def test_more_shots_give_back_what_fewer_did(split):
    held = split.test.held
    fewer, more = held.history(1), held.history(3)
    assert (more.multiply(fewer > 0) != fewer).nnz == 0


def test_integer_ids_and_items_as_the_held_out_side_work_alike(source, target):
    def numbered(catalog):
        ids = [int(person[1:]) for person in catalog.users]
        return Interactions.from_csr(catalog.user_items.T, users=catalog.items, items=ids)

    found = Cold().split(numbered(source).T, numbered(target).T, side="items", seed=3)
    assert found.train.users.kind == "int"
    assert len(found.test) == int(0.2 * found.eligible)


def test_too_few_people_are_an_error_that_counts_them(source, target):
    few = source.keep_users(np.arange(len(source.users)) < 30)
    with pytest.raises(AnchorError, match=r"8 of 15 common users have at least 5 .*leaves 1 to"):
        Cold().split(few, target, side="users", seed=0)
    with pytest.raises(AnchorError, match="0 of 62 common items have at least 1000 interactions"):
        Cold(active=1000).split(source, target, side="items", seed=0)


def test_nobody_in_common_and_ids_of_another_kind_are_errors(source, target):
    strangers = Interactions.from_csr(target.user_items, users=[f"q{u}" for u in target.users])
    with pytest.raises(AnchorError, match="have no users in common"):
        Cold().split(source, strangers, side="users", seed=0)
    numbers = Interactions.from_csr(target.user_items)
    with pytest.raises(DataError, match=r"strings .* in the source but integers"):
        Cold().split(source, numbers, side="users", seed=0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"test_share": 0.0}, "test_share must be between 0 and 1, got 0.0"),
        ({"validation_share": 1.0}, "validation_share must be between 0 and 1, got 1.0"),
        ({"test_share": float("nan")}, "test_share must be between 0 and 1, got nan"),
        ({"test_share": 0.7, "validation_share": 0.3}, "must leave a tenth of the anchors"),
        ({"order": "newest"}, 'order must be "auto", "time" or "random", got \'newest\''),
    ],
)
def test_settings_out_of_range_are_refused(source, target, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Cold(**arguments).split(source, target, side="users", seed=0)


def test_time_order_without_timestamps_is_refused(source):
    with pytest.raises(ValueError, match='order="time" needs timestamps'):
        Cold(order="time").split(source, log(target_frame(), time=False), side="users", seed=0)
