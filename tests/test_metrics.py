"""Metrics: closed forms by hand, ranx as the oracle, NaN where nothing is relevant."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random

from coldstart.metrics import METRICS, coverage, hits, metric, popularity_bias
from coldstart.ranking import top_n

N_PEOPLE, N_COLUMNS, N = 61, 23, 10
TOLERANCE = 1e-12  # sums of at most N terms in float64
THEIRS = {name: f"{name}@{N}" for name in METRICS} | {  # the names in ranx; the last know no cut
    "first": "hit_rate@1",
    "r_precision": "r-precision",
    "rbp": "rbp.80",
}
RANX = """
import json, sys, ranx
qrels, runs, names = json.load(sys.stdin)
for run in map(ranx.Run, runs):
    ranx.evaluate(ranx.Qrels(qrels), run, list(names.values()))
    print(json.dumps({ours: dict(run.scores[theirs]) for ours, theirs in names.items()}))
"""


def random_truth(rng):
    """A relevance matrix: some people have more than N columns, four none at all."""
    dense = random(N_PEOPLE, N_COLUMNS, density=0.1, rng=rng).toarray() > 0
    dense[:7, :15] = True
    dense[:, 20] |= ~dense.any(axis=1)
    dense[40:44] = False
    return csr_matrix(dense)


def random_lists(rng):
    """Ranked lists, every third one half empty."""
    ranked = np.stack([rng.permutation(N_COLUMNS)[:N] for _ in range(N_PEOPLE)])
    ranked[::3, N // 2 :] = -1
    return ranked


def lists_of_ties(rng):
    """Scores that are one of four numbers, and by an independent sort the lists they stand for."""
    scores = rng.integers(4, size=(N_PEOPLE, N_COLUMNS)).astype(np.float32)
    order = rng.permutation(N_COLUMNS)
    columns, _ = top_n(scores, N, order=order)
    sorted_out = [sorted(range(N_COLUMNS), key=lambda c: (-row[c], order[c]))[:N] for row in scores]
    return columns, np.array(sorted_out)


@pytest.fixture(scope="module")
def truth():
    return random_truth(np.random.default_rng(3))


@pytest.fixture(scope="module")
def columns():
    return random_lists(np.random.default_rng(8))


@pytest.fixture(scope="module")
def tied():
    return lists_of_ties(np.random.default_rng(9))


@pytest.fixture(scope="module")
def ranx_scores(columns, tied, truth):
    """Each metric of each person, for both sets of lists, by ranx in a process of its own:
    compiling it takes a minute.
    """
    if find_spec("ranx") is None:
        pytest.skip("ranx, the oracle of the metrics, is not installed")
    qrels = {str(person): {str(c): 1 for c in row.indices} for person, row in enumerate(truth)}
    runs = [
        {
            str(person): {str(c): float(N - place) for place, c in enumerate(row) if c >= 0}
            for person, row in enumerate(lists)
        }
        for lists in (columns, tied[1])
    ]
    child = subprocess.run(
        [sys.executable, "-c", RANX],
        input=json.dumps([qrels, runs, THEIRS]),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in child.stdout.splitlines()]


@pytest.mark.parametrize("case", ["random rankings", "tied scores"])
def test_metrics_of_every_person_equal_those_of_ranx(ranx_scores, columns, tied, truth, case):
    lists, theirs = {
        "random rankings": (columns, ranx_scores[0]),
        "tied scores": (tied[0], ranx_scores[1]),
    }[case]
    found, relevant = hits(lists, truth), np.diff(truth.indptr)
    served = relevant > 0
    assert (~served).sum() == 4
    for name in METRICS:
        ours = metric(name)(found, relevant)
        expected = np.array([theirs[name][str(person)] for person in range(N_PEOPLE)])
        np.testing.assert_allclose(ours[served], expected[served], atol=TOLERANCE)
        assert np.isnan(ours[~served]).all()
        assert (expected[~served] == 0).all()  # theirs: nothing to find is a failure


def test_metrics_of_one_list_follow_their_definitions():
    found = np.array([[False, True, True, False]])
    discounted, ideal = 1 / np.log2(3) + 1 / np.log2(4), 1 + 1 / np.log2(3) + 1 / np.log2(4)
    expected = {
        "ndcg": discounted / ideal,
        "recall": 2 / 3,
        "mrr": 1 / 2,
        "hit_rate": 1.0,
        "precision": 2 / 4,
        "map": (1 / 2 + 2 / 3) / 3,
        "f1": 2 * 2 / (3 + 4),
        "first": 0.0,
        "r_precision": 2 / 3,
        "rbp": 0.2 * (0.8 + 0.8**2),
    }
    assert list(expected)[:4] == list(METRICS)[:4]
    assert set(expected) == set(METRICS)
    for name, value in expected.items():
        assert metric(name)(found, np.array([3]))[0] == pytest.approx(value, abs=TOLERANCE)


def test_the_ideal_list_has_no_more_places_than_the_real_one():
    full = np.ones((1, 3), dtype=bool)
    assert metric("ndcg")(full, np.array([50]))[0] == pytest.approx(1.0, abs=TOLERANCE)
    for name in ("recall", "map", "r_precision"):  # these count what there was no place for
        assert metric(name)(full, np.array([50]))[0] == pytest.approx(3 / 50, abs=TOLERANCE)


@pytest.mark.parametrize("name", METRICS)
def test_a_person_without_truth_is_nan_and_one_without_a_hit_is_zero(name):
    nothing = np.zeros((2, 5), dtype=bool)
    np.testing.assert_array_equal(metric(name)(nothing, np.array([0, 2])), [np.nan, 0.0])


@pytest.mark.parametrize("name", METRICS)
def test_a_full_list_of_hits_scores_one_and_a_later_hit_never_scores_more(name):
    full = metric(name)(np.ones((1, 4), dtype=bool), np.array([4]))
    best = 1 - 0.8**4 if name == "rbp" else 1.0  # its reader may go on beyond the list
    assert full[0] == pytest.approx(best, abs=TOLERANCE)
    scores = metric(name)(np.eye(4, dtype=bool), np.ones(4, dtype=np.int64))
    assert scores.dtype == np.float64
    assert 0 < scores[0] <= 1
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("name", METRICS)
def test_nobody_gets_no_scores(name):
    assert metric(name)(np.zeros((0, 5), dtype=bool), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_hits_are_the_stored_entries_of_the_same_row(columns, truth):
    dense = truth.toarray()
    expected = [
        [column >= 0 and dense[person, column] for column in row]
        for person, row in enumerate(columns)
    ]
    assert np.array_equal(hits(columns, truth), expected)


def test_padding_is_never_a_hit_even_beside_the_last_column_of_the_row_before():
    truth = csr_matrix(np.array([[0, 0, 1], [0, 0, 1]]))
    assert hits(np.array([[2, -1], [-1, -1]]), truth).tolist() == [[True, False], [False, False]]


def test_cells_are_told_apart_in_matrices_of_more_than_2_to_the_31_of_them():
    rows, wide = 70_000, 65_536
    truth = csr_matrix(([1.0], ([rows - 1], [7])), shape=(rows, wide))
    columns = np.full((rows, 1), 7)
    assert np.flatnonzero(hits(columns, truth)).tolist() == [rows - 1]


def test_coverage_counts_each_listed_column_once():
    assert coverage(np.array([[3, 1], [1, -1]]), 8) == 2 / 8
    assert coverage(np.full((2, 3), -1), 8) == 0.0
    assert np.isnan(coverage(np.empty((0, 3), dtype=np.int64), 0))


def test_popularity_bias_is_the_mean_percentile_of_what_is_listed():
    counts = [5, 1, 1, 9]  # percentiles 0.625, 0.25, 0.25, 0.875
    lists = np.array([[3, 0, -1], [1, 2, 0], [-1, -1, -1]])
    np.testing.assert_allclose(
        popularity_bias(lists, counts), [0.75, 0.375, np.nan], atol=TOLERANCE
    )
    whole = np.arange(len(counts))[None]
    assert popularity_bias(whole, counts) == pytest.approx(0.5, abs=TOLERANCE)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.3 .* got 0\.\.4"):
        popularity_bias(np.array([[0, 4]]), counts)


def test_an_unknown_metric_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown metric 'auc': known are ndcg, recall, mrr, hit_"):
        metric("auc")


def test_lists_that_do_not_fit_the_truth_are_refused(truth):
    with pytest.raises(ValueError, match="2 lists but 61 rows of truth: pass the same people"):
        hits(np.zeros((2, N), dtype=np.int64), truth)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.22 .* got 0\.\.23"):
        hits(np.arange(N_PEOPLE)[:, None] % 24, truth)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.3 .* got -2\.\.1"):
        coverage(np.array([[-2, 1]]), 4)
