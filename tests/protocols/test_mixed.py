"""Mixed: new rows and known ones are to be found in the same lists."""

from dataclasses import replace

import numpy as np
import pytest

from coldstart.errors import DataError
from coldstart.protocols import Cold, Mixed

SEED, LISTS, TRUTH = 3, 12, 0.3


def made(world, **settings):
    return Mixed(**settings).split(world.source, world.target, side="users", seed=SEED)


@pytest.fixture(scope="module")
def split(world):
    return made(world, lists=LISTS, truth=TRUTH)


@pytest.fixture(scope="module")
def hidden(world, split):
    """What known rows have lost."""
    new = {*world.names(split.test), *world.names(split.validation)}
    rest = set(world.weights(world.target)) - set(world.weights(split.train))
    return {pair for pair in rest if pair[0] not in new}


def test_who_is_new_are_those_of_the_protocol_cold(world, split):
    cold = Cold().split(world.source, world.target, side="users", seed=SEED)
    for ours, theirs in ((split.test, cold.test), (split.validation, cold.validation)):
        assert world.names(ours) == world.names(theirs)
        assert np.array_equal(ours.source, theirs.source)
    assert split.eligible == cold.eligible


def test_they_lose_every_interaction(world, split):
    times = world.times(world.target)
    for people in (split.test, split.validation):
        names = set(world.names(people))
        assert not names & set(split.train.users)
        catalog = set(split.train.items)
        had = {pair for pair in times if pair[0] in names}
        assert world.truth(split, people) == {pair for pair in had if pair[1] in catalog}
        assert people.held.dropped.sum() == sum(pair[1] not in catalog for pair in had)
        for name, items in world.orders(split, people).items():
            came = [times[name, item] for item in items]
            assert came == sorted(came)


def test_known_rows_lose_a_share_of_what_they_have_with_those_who_get_lists(world, split, hidden):
    lists = set(world.described(split)["lists"])
    assert len(lists) == LISTS
    assert {item for _, item in hidden} <= lists
    had = {pair for pair in world.weights(world.target) if pair[1] in lists}
    new = {*world.names(split.test), *world.names(split.validation)}
    known = {pair for pair in had if pair[0] not in new}
    spread = np.sqrt(TRUTH * (1 - TRUTH) * len(known))
    assert abs(len(hidden) - TRUTH * len(known)) < 4 * spread


def test_what_they_lost_is_to_be_found(world, split, hidden):
    rows, columns = set(split.train.users), set(split.train.items)
    expected = {(row, column) for row, column in hidden if row in rows and column in columns}
    assert world.described(split)["known"] == expected


def test_known_rows_are_where_they_are_in_the_source(world, split):
    ids = world.source.users.ids
    for name, place in zip(split.train.users, split.known.source, strict=True):
        assert (ids[place] == name) if place >= 0 else (name not in set(ids))


def test_everybody_gets_a_list_where_there_are_not_too_many(world):
    found = made(world)
    assert np.array_equal(found.known.columns, np.arange(len(found.train.items)))
    assert np.all(np.diff(made(world, lists=5).known.columns) > 0)


def test_a_row_or_column_that_lost_all_it_had_is_not_to_be_found(world):
    """With nearly everything hidden, some are gone from the training log."""
    found = made(world, truth=0.97)
    assert len(found.train.users) < len(world.target.users) - len(found.test) - len(
        found.validation
    )
    assert found.known.truth.shape == found.train.shape
    assert found.known.truth.nnz > 0


def test_in_random_order_time_is_forgotten_by_the_training_log_too(world, split):
    assert split.train.timestamps is not None
    assert made(world, order="random").train.timestamps is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"truth": 0.0}, "truth must be between 0 and 1, got 0.0"),
        ({"test_share": 0.7, "validation_share": 0.3}, "must leave a tenth of the anchors"),
        ({"order": "newest"}, 'order must be "auto", "time" or "random"'),
    ],
)
def test_settings_out_of_range_are_refused(world, settings, reason):
    with pytest.raises(ValueError, match=reason):
        made(world, **settings)


def test_time_order_without_times_is_refused(world):
    timeless = replace(world, target=replace(world.target, timestamps=None))
    with pytest.raises(ValueError, match='order="time" needs timestamps, and the target has none'):
        made(timeless, order="time")


def test_a_list_for_nobody_is_an_error(world):
    with pytest.raises(DataError, match="nobody is left to make a list for: take a smaller share"):
        made(world, truth=0.9999999, lists=1)
