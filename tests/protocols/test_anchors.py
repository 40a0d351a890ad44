"""Anchors: as cold, and only few people are known to be in both catalogs."""

from itertools import pairwise

import numpy as np
import pytest

from coldstart.anchors import find_anchors
from coldstart.protocols import Cold, FewAnchors

SEED = 3
COUNTS = (4, 11, 25, None)


@pytest.fixture(scope="module")
def cold(world):
    return Cold().split(world.source, world.target, side="users", seed=SEED)


@pytest.fixture(scope="module")
def levels(world):
    return {
        count: FewAnchors(anchors=count).split(world.source, world.target, side="users", seed=SEED)
        for count in COUNTS
    }


def linked(split):
    found = find_anchors(split.source.users, split.train.users, needed=False)
    return set(split.source.users.ids[found.source])


def test_people_truth_and_training_log_are_those_of_the_protocol_cold(world, cold, levels):
    expected = world.described(cold)
    for split in levels.values():
        told = world.described(split)
        for part in set(expected) - {"source", "numbers"}:
            assert told[part] == expected[part]
        assert told["numbers"][0] == expected["numbers"][0]


@pytest.mark.parametrize("count", COUNTS[:-1])
def test_so_many_are_linked_to_the_training_log(levels, count):
    assert len(linked(levels[count])) == count == levels[count].level


def test_without_a_number_all_of_them_are(cold, levels):
    assert linked(levels[None]) == linked(cold)
    assert levels[None].level == len(linked(cold))


def test_larger_numbers_contain_the_smaller_ones(levels):
    assert all(fewer < more for fewer, more in pairwise(map(linked, levels.values())))


def test_the_others_are_in_both_catalogs_under_other_ids(world, levels):
    split = levels[4]
    assert (split.source.user_items != world.source.user_items).nnz == 0
    assert np.array_equal(split.source.timestamps, world.source.timestamps)
    renamed = np.flatnonzero(split.source.users.ids != world.source.users.ids)
    before = set(world.source.users.ids[renamed])
    assert before == linked(levels[None]) - linked(split)
    assert before <= set(split.train.users)
    after = set(split.source.users.ids[renamed])
    assert len(after) == len(before)
    assert not after & {*world.source.users, *world.target.users}


@pytest.mark.parametrize("numbered", [False, True])
def test_a_new_id_is_nobody_elses(world, numbered):
    """Somebody is called like another with a mark behind; numbers go on behind the largest."""
    logs = world.numbered() if numbered else world
    users = logs.source.users.ids.copy()
    if not numbered:
        users[:20] = [f"{name}?" for name in logs.source.users.ids[20:40]]
    source = type(logs.source).from_csr(logs.source.user_items, users, logs.source.items)
    split = FewAnchors(anchors=3).split(source, logs.target, side="users", seed=SEED)
    assert len(set(split.source.users)) == len(users)
    assert len(linked(split)) == 3
    assert not (set(split.source.users) - set(users)) & set(logs.target.users)


@pytest.mark.parametrize("count", [0, -3, 2.5, "10"])
def test_anything_but_a_number_of_people_is_refused(world, count):
    with pytest.raises(ValueError, match="anchors must be a whole number of at least 1, got"):
        FewAnchors(anchors=count).split(world.source, world.target, side="users", seed=SEED)
