"""Examples: a few people who are numbered and not named, and what they would have been shown."""

from dataclasses import replace

import numpy as np
import pytest

from coldstart.examples import LISTED, PEOPLE, SHOWN, examples
from coldstart.pool import Pool
from coldstart.sitting import FIXED

ARMS = ["strong", "warm:known"]


@pytest.fixture(scope="module")
def pool(served):
    return served.pool


@pytest.fixture(scope="module")
def shown(pool):
    return examples(pool, ARMS, "users", {})


def rows_of(pool, shown):
    """Rows of the test people who are shown, found by the whole truth and the lists of an arm."""
    (sitting,) = pool.sittings
    (ranked,) = pool.lists(ARMS[0], 0, FIXED)
    items, truth = sitting.task.train.items.ids, sitting.fixed_truth()
    found = []
    for one in shown:
        found += [
            row
            for row in range(len(sitting.ids))
            if set(one["truth"]) <= {str(name) for name in items[truth[row].indices]}
            and [line["item"] for line in one["lists"][ARMS[0]]]
            == [str(name) for name in items[ranked.columns[row][:LISTED]]]
        ]
    return found


def test_a_few_people_are_numbered(shown):
    assert [one["person"] for one in shown] == [f"person {k}" for k in range(1, PEOPLE + 1)]


def test_nobody_is_named(shown, served):
    names = set(map(str, served.target.users)) - set(map(str, served.target.items))
    assert not names & set(str(shown).replace("'", " ").split())


def test_their_lists_hit_what_is_in_their_truth(shown, pool):
    (sitting,) = pool.sittings
    rows = rows_of(pool, shown)
    assert len(rows) == len(set(rows)) == len(shown)
    items, truth = sitting.task.train.items.ids, sitting.fixed_truth()
    for row, one in zip(rows, shown, strict=True):
        theirs = [str(name) for name in items[truth[row].indices]]
        assert set(one["truth"]) <= set(theirs)
        assert len(one["truth"]) == min(SHOWN, len(theirs))
        assert one["given"] == []
        assert list(one["lists"]) == ARMS
        for arm in ARMS:
            assert len(one["lists"][arm]) == LISTED
            for line in one["lists"][arm]:
                assert line["hit"] == (line["item"] in theirs)


def test_what_they_have_in_the_source_is_shown_the_heaviest_first(shown, pool):
    (sitting,) = pool.sittings
    source = sitting.split.source
    for row, one in zip(rows_of(pool, shown), shown, strict=True):
        place = sitting.split.test.source[row]
        theirs = source.user_items[place]
        assert theirs.nnz >= 3
        assert len(one["source"]) == min(SHOWN, theirs.nnz)
        assert set(one["source"]) <= {str(name) for name in source.items.ids[theirs.indices]}
        weight = dict(zip(map(str, source.items.ids[theirs.indices]), theirs.data, strict=True))
        shown_weights = [weight[name] for name in one["source"]]
        assert shown_weights == sorted(shown_weights, reverse=True)


def test_items_have_titles_where_there_are_some(pool, shown):
    item = shown[0]["truth"][0]
    titled = examples(pool, ARMS, "users", {item: "A pan"})
    assert titled[0]["truth"] == ["A pan", *shown[0]["truth"][1:]]
    assert item not in str([one["truth"] for one in titled])


def test_where_items_are_held_out_they_are_named_and_people_are_numbered(pool):
    (sitting,) = pool.sittings
    found = examples(pool, ARMS, "items", {str(one): f"title {one}" for one in sitting.ids})
    assert all(one["person"].startswith("title ") for one in found)
    others = {*found[0]["truth"], *found[0]["source"]}
    assert others
    assert all(other.startswith("person ") for other in others)


def test_the_same_seed_draws_the_same_people_and_another_one_others(pool, shown):
    assert examples(pool, ARMS, "users", {}) == shown
    (sitting,) = pool.sittings
    other = replace(sitting, task=replace(sitting.task, seed=9))
    assert examples(Pool([other]), ARMS, "users", {}) != shown


def test_the_source_may_not_know_everybody(pool):
    (sitting,) = pool.sittings
    test = sitting.split.test
    nowhere = replace(test, source=np.where(np.arange(len(test)) < len(test) - 2, -1, test.source))
    few = replace(sitting, split=replace(sitting.split, test=nowhere))
    assert len(examples(Pool([few]), ARMS, "users", {})) <= 2
