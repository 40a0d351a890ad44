"""Popularity: how many rows have a column, and whose rows are counted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.arms.popularity import PopularityArm
from coldstart.popularity import counts


@pytest.fixture
def counted_by_hand(small):
    """Counts over all training rows, and over those that the source has too."""
    train = small.task.train
    having = train.user_items.toarray() > 0
    shared = np.isin(train.users.ids.astype(str), small.task.source.users.ids.astype(str))
    assert 0 < shared.sum() < len(shared)
    return {"all": having.sum(axis=0), "anchors": having[shared].sum(axis=0)}


def test_counts_are_of_rows_and_not_of_weights():
    log = csr_matrix(np.array([[0.0, 2.0, 0.5, 0.0], [0.0, 4.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]))
    assert counts(log).tolist() == [1.0, 3.0, 1.0, 0.0]


@pytest.mark.parametrize("shots", [0, 2])
def test_everybody_gets_the_counts_of_the_chosen_rows(small, counted_by_hand, shots):
    arm = PopularityArm().fit(small.task)
    expected = counted_by_hand[arm.settings()["counted"][shots]]
    assert np.array_equal(small.scores(arm, shots), np.tile(expected, (len(small.test), 1)))


def ndcg_by_hand(world, row, shots):
    """Mean NDCG of one list for all validation people, without what came back to each of them."""
    held, task = world.task.validation.held, world.task
    discounts = 1 / np.log2(np.arange(2, task.n + 2))
    values = []
    for seen, truth in zip(held.history(shots), held.truth(shots), strict=True):
        ranked = sorted(
            set(range(len(row))) - set(seen.indices), key=lambda j: (-row[j], task.order[j])
        )
        gains = np.isin(ranked[: task.n], truth.indices) @ discounts
        if truth.nnz:
            values.append(gains / discounts[: truth.nnz].sum())
    return np.mean(values)


@pytest.mark.parametrize("shots", [0, 2])
def test_validation_people_choose_whom_to_count(small, counted_by_hand, shots):
    qualities = {who: ndcg_by_hand(small, row, shots) for who, row in counted_by_hand.items()}
    assert qualities["all"] != qualities["anchors"]
    chosen = PopularityArm().fit(small.task).settings()["counted"][shots]
    assert chosen == max(qualities, key=qualities.get)


def test_of_equally_good_choices_the_first_is_taken(small):
    everything = replace(small.task, n=len(small.task.train.items), metric="hit_rate")
    assert set(PopularityArm().fit(everything).settings()["counted"].values()) == {"all"}
