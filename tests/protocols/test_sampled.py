"""Sampled: one positive against random negatives that a person does not have."""

from dataclasses import replace

import numpy as np
import pytest

from coldstart.protocols import Cold, Sampled

SEED, NEGATIVES = 3, 8


@pytest.fixture(scope="module")
def cold(world):
    return Cold().split(world.source, world.target, side="users", seed=SEED)


@pytest.fixture(scope="module")
def split(world):
    rule = Sampled(negatives=NEGATIVES)
    return rule.split(world.source, world.target, side="users", seed=SEED)


def test_all_but_the_negatives_is_as_in_the_protocol_cold(world, cold, split):
    told = world.described(split)
    assert told.pop("negatives")
    assert told == world.described(cold)


def test_negatives_are_columns_that_a_person_does_not_have_each_once(world, split):
    assert split.negatives.shape == (len(split.test), NEGATIVES)
    has = set(world.weights(world.target))
    items = split.train.items.ids
    for name, columns in zip(world.names(split.test), split.negatives, strict=True):
        assert len(set(columns)) == NEGATIVES
        assert not any((name, item) in has for item in items[columns])


def test_the_positive_is_what_comes_back_after_all_else(world, split):
    last = world.pairs(split, split.test, split.test.held.last())
    assert last == {(name, items[-1]) for name, items in world.orders(split, split.test).items()}


def test_every_column_that_is_free_is_drawn_sooner_or_later(world, split):
    person = world.names(split.test)[0]
    free = np.setdiff1d(np.arange(len(split.train.items)), split.test.held.matrix[0].indices)
    drawn = set(split.negatives[0].tolist())
    for seed in range(60):
        other = Sampled(negatives=NEGATIVES).split(
            world.source, world.target, side="users", seed=seed
        )
        if person in world.names(other.test):
            drawn |= set(other.negatives[world.names(other.test).index(person)].tolist())
    assert drawn == set(free.tolist())


def test_people_without_anything_to_find_are_left_out(world, split):
    """Somebody's items are nobody else's: all of them are outside the training catalog."""
    who = world.names(split.test)[2]
    log = world.target
    theirs = log.user_items.toarray()
    row = log.users.rows([who])[0]
    alone = np.zeros((len(theirs), 6), np.float32)
    alone[row] = 1.0
    theirs[row] = 0.0
    items = [*log.items, *(f"z{k}" for k in range(6))]
    target = type(log).from_csr(np.hstack([theirs, alone]), log.users, items)
    rule = Sampled(negatives=NEGATIVES, order="random")
    found = rule.split(world.source, target, side="users", seed=SEED)
    assert who not in world.names(found.test)
    assert len(found.test) == len(split.test) - 1 == len(found.negatives)


def test_more_negatives_than_somebody_has_columns_to_draw_from_are_refused(world):
    reason = (
        r"negatives=\d+ needs as many columns .* of 27 some have only \d+ left: evaluate Sampled"
    )
    with pytest.raises(ValueError, match=reason):
        Sampled(negatives=24).split(world.source, world.target, side="users", seed=SEED)


@pytest.mark.parametrize("negatives", [0, 1.5, "9"])
def test_anything_but_a_number_of_negatives_is_refused(world, negatives):
    rule = replace(Sampled(), negatives=negatives)
    with pytest.raises(ValueError, match="negatives must be at least 1, got"):
        rule.split(world.source, world.target, side="users", seed=SEED)
