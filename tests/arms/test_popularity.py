"""Popularity: how many rows have a column, and whose rows are counted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.arms import popularity
from coldstart.arms.popularity import PopularityArm
from coldstart.interactions import Interactions
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


def timed(task, seed=7):
    """The task with times in its training log, many of them equal."""
    train = task.train
    times = np.random.default_rng(seed).integers(0, 9, train.nnz)
    return replace(task, train=Interactions(train.user_items, train.users, train.items, times))


@pytest.mark.parametrize("half_life", [0.5, 0.05])
def test_an_interaction_counts_half_for_each_half_life_of_the_log_after_it(
    small, monkeypatch, half_life
):
    task = timed(small.task)
    monkeypatch.setattr(popularity, "HALF_LIVES", (half_life,))
    arm = PopularityArm().fit(task)
    log = task.train
    expected = {"all": np.zeros(len(log.items)), "anchors": np.zeros(len(log.items))}
    cells = log.user_items.tocoo()
    anchors = set(task.anchors.target.tolist())
    for row, column, time in zip(cells.row.tolist(), cells.col, log.timestamps, strict=True):
        after = np.mean(log.timestamps > time)  # a share of the log
        for whose in ("all", *(["anchors"] if row in anchors else [])):
            expected[whose][column] += 0.5 ** (after / half_life)
    row = expected[arm.settings()["counted"][0]]
    np.testing.assert_allclose(small.scores(arm, 0)[3], row, rtol=1e-6)


def test_half_lives_are_tried_only_where_there_are_times(small):
    assert PopularityArm().fit(small.task).tuned.space["half_life"] == [None]
    space = PopularityArm().fit(timed(small.task)).tuned.space
    assert space["half_life"] == list(popularity.HALF_LIVES)


def test_where_rows_compete_those_with_longer_histories_come_first(small):
    arm, history = PopularityArm().fit(small.task), small.test.held.matrix
    scores = arm.across(small.test.source, history, 0)(slice(2, 9))
    sizes = np.diff(history.indptr)[2:9]
    assert len(set(sizes)) > 1
    assert np.array_equal(scores, np.tile(sizes[:, None], (1, history.shape[1])))
