"""Held-out people leave nothing behind, and get their interactions back in order."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.heldout import hold_out
from coldstart.interactions import Interactions
from coldstart.metrics import ndcg

N_USERS, N_ITEMS = 30, 19
HELD = np.array([21, 4, 9, 27, 0])
ONLY_THEIRS = [3, 12]  # items that nobody else has


def make_log(*, timed=False, seed=0):
    """Weights are all different, so that each tells where it came from."""
    rng = np.random.default_rng(seed)
    there = rng.random((N_USERS, N_ITEMS)) < 0.4
    there[:, ONLY_THEIRS] = False
    there[HELD[:3], 3] = True
    there[HELD[1], 12] = True
    there[5] = False  # nothing known of somebody who stays
    rows, columns = np.nonzero(there)
    weights = rng.permutation(rows.size) + 1.0
    times = rng.integers(0, 6, rows.size) if timed else None  # many ties
    matrix = sp.csr_matrix((weights, (rows, columns)), (N_USERS, N_ITEMS))
    users, items = [f"u{row}" for row in range(N_USERS)], [f"i{row}" for row in range(N_ITEMS)]
    return Interactions.from_csr(matrix, users, items, times)


def split(log=None, *, order="auto", seed=1):
    return hold_out(log or make_log(), HELD, order=order, rng=np.random.default_rng(seed))


def entries(matrix):
    matrix = matrix.tocoo()
    return set(zip(matrix.row.tolist(), matrix.col.tolist(), matrix.data.tolist(), strict=True))


@pytest.fixture(params=[False, True], ids=["no times", "times"])
def log(request):
    return make_log(timed=request.param)


class TestTraining:
    def test_the_training_catalog_has_neither_the_people_nor_what_only_they_have(self, log):
        train, _ = split(log)
        assert not {f"u{row}" for row in HELD} & set(train.users)
        assert not {f"i{column}" for column in ONLY_THEIRS} & set(train.items)

    def test_no_weight_of_theirs_is_left(self, log):
        train, _ = split(log)
        theirs = log.user_items[HELD].data
        assert not set(theirs.tolist()) & set(train.user_items.data.tolist())
        assert train.nnz + len(theirs) == log.nnz

    def test_the_others_keep_everything(self, log):
        train, _ = split(log)
        rows = log.users.rows(train.users.ids)
        columns = log.items.rows(train.items.ids)
        assert entries(log.user_items[rows][:, columns]) == entries(train.user_items)
        assert len(train.users) == N_USERS - len(HELD)

    def test_whatever_they_had_the_training_catalog_is_the_same_bits(self, log):
        matrix = log.user_items.toarray()
        matrix[HELD] = 1e6 * np.random.default_rng(0).random((len(HELD), N_ITEMS))
        poisoned = Interactions.from_csr(matrix, log.users.ids, log.items.ids)
        ours, theirs = (split(each)[0] for each in (log, poisoned))
        assert ours.users == theirs.users
        assert ours.items == theirs.items
        for part in ("data", "indices", "indptr"):
            assert np.array_equal(getattr(ours.user_items, part), getattr(theirs.user_items, part))

    def test_the_catalog_it_came_from_is_not_changed(self, log):
        before = log.user_items.copy()
        split(log)
        assert entries(log.user_items) == entries(before)


class TestHistoryAndTruth:
    def test_columns_are_those_of_the_training_catalog(self, log):
        train, held = split(log)
        assert held.matrix.shape == (len(HELD), len(train.items))
        assert held.matrix.has_canonical_format
        named = {
            (log.users.ids[HELD[row]], train.items.ids[column], weight)
            for row, column, weight in entries(held.matrix)
        }
        known = [column for column in range(N_ITEMS) if f"i{column}" in train.items]
        kept = log.user_items[HELD][:, known]
        assert named == {
            (log.users.ids[HELD[row]], log.items.ids[known[column]], weight)
            for row, column, weight in entries(kept)
        }

    def test_interactions_that_nobody_could_recommend_are_dropped_and_counted(self, log):
        _, held = split(log)
        assert held.dropped.tolist() == [1, 2, 1, 0, 0]
        whole = np.diff(log.user_items.indptr)[HELD]
        assert np.array_equal(np.diff(held.matrix.indptr) + held.dropped, whole)

    @pytest.mark.parametrize("shots", [0, 1, 3, 100])
    def test_history_and_truth_are_all_of_it_and_share_nothing(self, log, shots):
        _, held = split(log)
        history, truth = held.history(shots), held.truth(shots)
        assert entries(history) | entries(truth) == entries(held.matrix)
        assert history.nnz + truth.nnz == held.matrix.nnz
        counts = np.diff(held.matrix.indptr)
        assert np.array_equal(np.diff(history.indptr), np.minimum(counts, shots))

    def test_more_shots_hold_the_fewer(self, log):
        _, held = split(log)
        nested = [entries(held.history(shots)) for shots in range(8)]
        assert all(fewer <= more for fewer, more in pairwise(nested))

    def test_the_same_seed_gives_the_same_order_and_another_a_different_one(self, log):
        ranks = [split(log, seed=seed)[1].rank for seed in (1, 1, 2)]
        assert np.array_equal(ranks[0], ranks[1])
        assert not np.array_equal(ranks[0], ranks[2])

    def test_people_without_interactions_have_no_history_and_no_truth(self):
        _, held = hold_out(
            make_log(), np.array([5, 2]), order="random", rng=np.random.default_rng(0)
        )
        assert (held.history(1)[0].nnz, held.truth(1)[0].nnz, held.dropped[0]) == (0, 0, 0)
        assert held.history(1)[1].nnz == 1


class TestOrder:
    def times(self, held, log, train):
        """When each entry of the held-out matrix was, row by row in the order it comes back."""
        stamped = sp.csr_matrix(
            (log.timestamps + 1, log.user_items.indices, log.user_items.indptr), log.shape
        )
        columns = log.items.rows(train.items.ids[held.matrix.indices])
        rows = np.repeat(HELD, np.diff(held.matrix.indptr))
        when = np.asarray(stamped[rows, columns]).ravel()
        for begin, end in pairwise(held.matrix.indptr):
            yield when[begin:end][np.argsort(held.rank[begin:end])]

    @pytest.mark.parametrize("order", ["auto", "time"])
    def test_where_there_is_time_the_earliest_come_back_first(self, order):
        log = make_log(timed=True)
        train, held = split(log, order=order)
        assert all((np.diff(times) >= 0).all() for times in self.times(held, log, train))

    def test_where_random_is_asked_for_time_does_not_matter(self):
        log = make_log(timed=True)
        train, held = split(log, order="random")
        assert not all((np.diff(times) >= 0).all() for times in self.times(held, log, train))

    def test_ties_in_time_fall_at_random(self):
        """Of two interactions on one day either comes first in about half of 200 draws."""
        log = Interactions.from_csr(np.ones((2, 2)), timestamps=[4, 4, 1, 1])
        first = [
            hold_out(log, np.array([0]), order="time", rng=np.random.default_rng(seed))[1].rank[0]
            for seed in range(200)
        ]
        assert 60 < sum(first) < 140

    def test_without_times_they_come_back_at_random(self):
        log = Interactions.from_csr(np.ones((2, 2)))
        first = [
            hold_out(log, np.array([0]), order="auto", rng=np.random.default_rng(seed))[1].rank[0]
            for seed in range(200)
        ]
        assert 60 < sum(first) < 140

    def test_time_cannot_be_asked_for_where_there_is_none(self):
        with pytest.raises(ValueError, match='order="time" needs timestamps, and the catalog has'):
            split(make_log(), order="time")


class TestRanking:
    def scorer(self, held, seed=0):
        scores = np.random.default_rng(seed).normal(size=held.matrix.shape).astype(np.float32)
        return lambda block: scores[block]

    @pytest.mark.parametrize("shots", [0, 2])
    def test_the_whole_catalog_is_ranked_but_what_came_back(self, log, shots):
        _, held = split(log)
        ranked = held.rank_all(self.scorer(held), shots, n=N_ITEMS)
        scores = self.scorer(held)(slice(None)).copy()
        scores[held.history(shots).nonzero()] = -np.inf
        for row, listed in enumerate(ranked.columns):
            known = np.flatnonzero(np.isfinite(scores[row]))
            expected = known[np.argsort(-scores[row][known])]
            assert listed[listed >= 0].tolist() == expected.tolist()

    def test_hits_are_those_of_the_truth(self, log):
        _, held = split(log)
        ranked = held.rank_all(self.scorer(held), 2, n=4)
        truth = held.truth(2).toarray() > 0
        assert np.array_equal(ranked.relevant, truth.sum(axis=1))
        assert np.array_equal(ranked.hits, np.take_along_axis(truth, ranked.columns, axis=1))

    def test_someone_who_knows_the_truth_has_a_perfect_list(self, log):
        _, held = split(log)
        truth = held.truth(0).toarray()
        ranked = held.rank_all(lambda block: truth[block], 0, n=10)
        np.testing.assert_allclose(ndcg(ranked.hits, ranked.relevant), 1.0, rtol=1e-12)

    def test_equal_scores_fall_by_the_given_order(self, log):
        _, held = split(log)
        n_columns = held.matrix.shape[1]
        order = np.random.default_rng(3).permutation(n_columns)
        flat = np.zeros(held.matrix.shape, np.float32)
        ranked = held.rank_all(lambda block: flat[block], 0, n=n_columns, order=order)
        assert np.array_equal(order[ranked.columns], np.tile(np.arange(n_columns), (len(HELD), 1)))

    def test_lists_are_the_same_for_any_number_of_threads_and_size_of_blocks(self, monkeypatch):
        _, held = split()
        whole = held.rank_all(self.scorer(held), 1, num_threads=1)
        monkeypatch.setattr("coldstart.heldout.ROWS_AT_ONCE", 2)
        parts = held.rank_all(self.scorer(held), 1, num_threads=3)
        assert np.array_equal(whole.columns, parts.columns)
        assert np.array_equal(whole.hits, parts.hits)
