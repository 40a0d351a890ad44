"""What every protocol promises, whatever it hides."""

import numpy as np
import pytest

from coldstart.protocols import (
    PROTOCOLS,
    Cold,
    FewAnchors,
    Hiding,
    Launch,
    Mixed,
    Sampled,
    Temporal,
)

SEED = 3
VALUES = {
    "cold": Cold(),
    "mixed": Mixed(lists=15),
    "launch": Launch(0.4),
    "temporal": Temporal(0.7),
    "anchors": FewAnchors(anchors=9),
    "sampled": Sampled(negatives=6),
}


def test_every_protocol_is_here():
    assert VALUES.keys() == PROTOCOLS.keys()


@pytest.fixture(scope="module", params=VALUES)
def protocol(request):
    return VALUES[request.param]


@pytest.fixture(scope="module")
def splits(world, protocol):
    return protocol.splits(world.source, world.target, side="users", seed=SEED)


def test_it_is_a_value_with_a_name(protocol):
    assert isinstance(protocol, Hiding)
    assert PROTOCOLS[protocol.name] is type(protocol)
    assert type(protocol)(**vars(protocol)) == protocol


def test_nobody_is_tested_and_tuned_on_in_the_same_split(world, splits):
    for split in splits:
        test, validation = world.names(split.test), world.names(split.validation)
        assert min(len(test), len(validation)) >= 2
        assert len({*test, *validation}) == len(test) + len(validation)


def test_people_are_where_they_are_in_the_source(splits, world):
    for split in splits:
        for people in (split.test, split.validation):
            for name, place in zip(world.names(people), people.source, strict=True):
                known = split.source.users.ids.tolist()
                assert known[place] == name if place >= 0 else name not in known


def test_nothing_that_anybody_is_to_find_is_fitted(world, splits):
    for split in splits:
        train = set(world.weights(split.train))
        for people in (split.test, split.validation):
            assert not world.truth(split, people) & train
        if split.known is not None:
            assert not world.described(split)["known"] & train


def test_nothing_that_anybody_is_to_find_is_known_to_those_who_are_tuned_on(world, splits):
    for split in splits:
        told = world.history(split, split.validation) | world.truth(split, split.validation)
        assert not told & world.truth(split, split.test)


def test_what_is_fitted_and_what_is_kept_back_is_what_there_was(world, splits):
    whole, source = world.weights(world.target), world.weights(world.source)
    for split in splits:
        assert world.weights(split.train).items() <= whole.items()
        kept = world.weights(split.source)
        renamed = {pair: weight for pair, weight in kept.items() if pair not in source}
        assert sorted(renamed.values()) == sorted(
            weight for pair, weight in source.items() if pair not in kept and renamed
        )
        assert {pair: kept[pair] for pair in kept.keys() - renamed.keys()}.items() <= source.items()
        for people in (split.test, split.validation):
            theirs = world.pairs(split, people, people.held.matrix)
            assert theirs <= whole.keys()
            weights = sorted(whole[pair] for pair in theirs)
            assert sorted(people.held.matrix.data.tolist()) == weights


@pytest.mark.parametrize("shots", [0, 1, 3, 99])
def test_history_and_truth_are_all_of_it_and_share_nothing(world, splits, shots):
    for split in splits:
        for people in (split.test, split.validation):
            history = world.history(split, people, shots)
            truth = world.truth(split, people, shots)
            assert not history & truth
            assert history | truth == world.pairs(split, people, people.held.matrix)
            known = world.history(split, people)
            for name, order in world.orders(split, people).items():
                theirs = [(name, item) for item in order]
                before = sum(pair in known for pair in theirs)
                assert set(theirs[: before + shots]) == {p for p in history if p[0] == name}


def test_the_seed_decides_and_nothing_else(world, protocol, splits):
    again = type(protocol)(**vars(protocol))
    same = again.splits(world.source, world.target, side="users", seed=SEED)
    expected = [world.described(split) for split in splits]
    assert [world.described(split) for split in same] == expected
    assert {split.seed for split in splits} == {SEED}
    others = protocol.splits(world.source, world.target, side="users", seed=SEED + 1)
    assert world.names(others[0].test) != world.names(splits[0].test)


def test_the_order_of_the_rows_of_both_logs_does_not_matter(world, protocol, splits):
    moved = world.permuted()
    found = protocol.splits(moved.source, moved.target, side="users", seed=SEED)
    expected = [world.described(split) for split in splits]
    assert [moved.described(split) for split in found] == expected


def test_logs_are_left_as_they_are(world, protocol):
    before = [world.weights(log) for log in (world.source, world.target)]
    protocol.splits(world.source, world.target, side="users", seed=1)
    assert [world.weights(log) for log in (world.source, world.target)] == before


def test_numbers_as_ids_hide_the_same(world, protocol, splits):
    """Ids of three digits stand in the same order as text and as numbers."""
    numbered = world.numbered()
    found = protocol.splits(numbered.source, numbered.target, side="users", seed=SEED)
    for ours, theirs in zip(splits, found, strict=True):
        assert [int(name[1:]) for name in world.names(ours.test)] == numbered.names(theirs.test)
        assert np.array_equal(ours.test.held.rank, theirs.test.held.rank)
        assert (ours.train.user_items != theirs.train.user_items).nnz == 0
        assert theirs.source.users.kind == "int"
