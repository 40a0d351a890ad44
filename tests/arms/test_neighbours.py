"""Neighbours: against cosines and sums written out person by person, in float64."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random

from coldstart.arms import neighbours
from coldstart.arms.neighbours import NeighboursArm, nearest, unit_rows

N_ROWS, N_OTHERS, N_COLUMNS = 17, 29, 13


def side_by_side(task, source, target, columns, weight):
    """``[w s, t]`` for every person, columns weighted by log(1 + rows / rows with the column)."""
    parts = [weight * source.toarray().astype(np.float64), target.toarray().astype(np.float64)]
    if columns == "idf":
        for part, log in zip(parts, (task.source.user_items, task.train.user_items), strict=True):
            having = (log.toarray() > 0).sum(axis=0)
            part *= np.log(1 + log.shape[0] / np.maximum(having, 1))
    return np.hstack(parts)


def scores_by_hand(world, shots, k, columns, weight):
    task, anchors = world.task, world.task.anchors
    theirs = task.train.user_items[anchors.target]
    source = task.source.user_items
    others = side_by_side(task, source[anchors.source], theirs, columns, weight)
    history = world.test.held.history(shots)
    scores = []
    for row in side_by_side(task, source[world.test.source], history, columns, weight):
        lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(row)
        similar = others @ row / lengths
        best = np.argsort(-similar, kind="stable")[:k]
        scores.append(similar[best] @ theirs.toarray()[best])
    return np.array(scores)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("k", [3, 200])
@pytest.mark.parametrize("columns", ["raw", "idf"])
@pytest.mark.parametrize("weight", [0.3, 2.0])
def test_scores_are_sums_over_the_most_similar_anchors(
    small, monkeypatch, shots, k, columns, weight
):
    monkeypatch.setattr(neighbours, "SIZES", (k,))
    monkeypatch.setattr(neighbours, "COLUMNS", (columns,))
    monkeypatch.setattr(neighbours, "SOURCE_WEIGHTS", (weight,))
    arm = NeighboursArm().fit(small.task)
    expected = scores_by_hand(small, shots, k, columns, weight)
    np.testing.assert_allclose(small.scores(arm, shots), expected, rtol=1e-5, atol=1e-6)
    chosen = {"columns": columns, "source_weight": weight, "k": k}
    assert arm.settings() == {knob: {0: value, 2: value} for knob, value in chosen.items()}


def test_what_has_come_back_changes_who_is_near(small):
    arm = NeighboursArm().fit(small.task)
    nothing = small.test.held.history(0)
    block = slice(0, len(small.test))
    without = arm.scorer(small.test.source, nothing, 2)(block)
    assert not np.allclose(small.scores(arm, 2), without, rtol=1e-3)


@pytest.fixture
def rows():
    return random(N_ROWS, N_COLUMNS, density=0.3, format="csr", dtype=np.float32, random_state=3)


@pytest.fixture
def others():
    return random(N_OTHERS, N_COLUMNS, density=0.3, format="csr", dtype=np.float32, random_state=4)


@pytest.mark.parametrize("k", [1, 4, N_OTHERS, 50])
def test_nearest_keeps_the_k_largest_products_of_every_row(rows, others, k):
    products = rows.toarray() @ others.toarray().T
    kept = nearest(rows, others, k).first(k).toarray()
    for found, row in zip(kept, products, strict=True):
        largest = np.sort(row)[::-1][:k]
        np.testing.assert_allclose(
            np.sort(found[found > 0]), np.sort(largest[largest > 0]), rtol=1e-6
        )
        np.testing.assert_allclose(found[found > 0], row[found > 0], rtol=1e-6)


def test_products_that_are_not_positive_are_nobody_near(rows, others):
    assert nearest(rows, -others, 5).first(5).nnz == 0
    assert nearest(csr_matrix(rows.shape, dtype=np.float32), others, 5).first(5).nnz == 0


def test_nearest_is_the_same_whatever_is_held_at_one_time(rows, others, monkeypatch):
    whole = nearest(rows, others, 4).first(4)
    monkeypatch.setattr(neighbours, "SIMILARITIES_AT_ONCE", 5 * N_OTHERS)
    assert (nearest(rows, others, 4).first(4) != whole).nnz == 0


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_first_of_many_are_the_nearest_of_few(rows, others, k):
    few = nearest(rows, others, k).first(k)
    assert (nearest(rows, others, 9).first(k) != few).nnz == 0


def test_nobodys_rows_stay_in_the_arm(small):
    arm = NeighboursArm().fit(small.task)
    assert arm._kept is None
    small.scores(arm, 2)
    assert arm._kept is None


def test_unit_rows_have_length_one_and_empty_rows_stay_empty():
    rows = unit_rows(csr_matrix(np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]], np.float32)))
    np.testing.assert_allclose(rows.toarray(), [[0.6, 0.0, 0.8], [0.0, 0.0, 0.0]], rtol=1e-7)
