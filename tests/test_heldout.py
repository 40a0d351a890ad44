"""Held-out people leave nothing behind, and get their interactions back in order."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.heldout import HeldOut, Quest, SampledQuest, hold_out, taken_from
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


def given_and_taken(log, *, order="random", seed=1):
    """Everybody of `HELD` keeps back about half of what he or she has, and has most of the rest."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(N_USERS), np.diff(log.user_items.indptr))
    theirs = np.isin(rows, HELD)
    taken = theirs & (rng.random(log.nnz) < 0.5)
    given = ~taken & (rng.random(log.nnz) < 0.8)
    train = log.keep_entries(given)
    held = taken_from(log, train, HELD, taken, given=given, order=order, rng=rng)
    return train, held, given, taken


def named(log, train, matrix):
    rows, columns = matrix.nonzero()
    return set(zip(log.users.ids[HELD[rows]], train.items.ids[columns], strict=True))


def pairs(log, mask):
    """Pairs of ids of some entries of these people."""
    cells = log.user_items.tocoo()
    mask = mask & np.isin(cells.row, HELD)
    return set(zip(log.users.ids[cells.row[mask]], log.items.ids[cells.col[mask]], strict=True))


class TestTakenFrom:
    def test_what_is_given_is_the_history_without_any_shot(self, log):
        train, held, given, taken = given_and_taken(log)
        catalog = set(train.items)
        for matrix, mask in ((held.history(0), given), (held.truth(0), taken)):
            expected = {pair for pair in pairs(log, mask) if pair[1] in catalog}
            assert named(log, train, matrix) == expected
        assert held.known.tolist() == np.diff(held.history(0).indptr).tolist()

    def test_what_is_neither_is_not_theirs(self, log):
        train, held, given, taken = given_and_taken(log)
        assert not named(log, train, held.matrix) & pairs(log, ~given & ~taken)
        assert pairs(log, ~given & ~taken)

    @pytest.mark.parametrize("shots", [1, 2, 50])
    def test_shots_come_back_after_what_is_known(self, log, shots):
        train, held, *_ = given_and_taken(log)
        more = named(log, train, held.history(shots))
        assert more >= named(log, train, held.history(0))
        taken = np.diff(held.matrix.indptr) - held.known
        expected = held.known + np.minimum(taken, shots)
        assert np.diff(held.history(shots).indptr).tolist() == expected.tolist()

    def test_both_parts_are_in_the_order_of_time_where_there_is_time(self):
        log = make_log(timed=True)
        train, held, _, _ = given_and_taken(log, order="auto")
        came = list(TestOrder().times(held, log, train))
        for times, known in zip(came, held.known, strict=True):
            assert (np.diff(times[:known]) >= 0).all()
            assert (np.diff(times[known:]) >= 0).all()
        parts = zip(came, held.known, strict=True)
        assert any(times[:k].max() > times[k:].min() for times, k in parts if k)

    def test_all_taken_and_nothing_given_is_to_hold_out(self, log):
        train, held = split(log)
        everything = np.ones(log.nnz, bool)
        rng = np.random.default_rng(1)
        same = taken_from(log, train, HELD, everything, order="auto", rng=rng)
        assert entries(same.matrix) == entries(held.matrix)
        assert np.array_equal(same.rank, held.rank)
        assert same.known is None


class TestSomeOfThem:
    @pytest.mark.parametrize(
        "which",
        [slice(1, 4), np.array([3, 0, 3]), np.array([True, False, True, True, False])],
        ids=["slice", "positions", "mask"],
    )
    def test_they_keep_what_they_have_and_its_order(self, log, which):
        _, held, _, _ = given_and_taken(log)
        part = held.take(which)
        assert np.array_equal(part.rows, HELD[which])
        for shots in (0, 2):
            for name in ("history", "truth"):
                ours, whole = getattr(part, name)(shots), getattr(held, name)(shots)
                assert np.array_equal(ours.toarray(), whole[which].toarray())
        assert np.array_equal(part.dropped, held.dropped[which])
        assert np.array_equal(part.known, held.known[which])

    def test_where_nothing_is_known_nothing_is_known_of_some(self, log):
        assert split(log)[1].take(slice(2)).known is None


class TestLast:
    def test_it_is_what_comes_back_when_all_else_has(self, log):
        _, held = split(log)
        sizes = np.diff(held.matrix.indptr)
        last = held.last()
        assert np.diff(last.indptr).tolist() == (sizes > 0).astype(int).tolist()
        for row, size in enumerate(sizes):
            theirs = set(held.truth(size - 1)[row].indices) - set(held.truth(size)[row].indices)
            assert set(last[row].indices) == theirs

    @pytest.mark.parametrize("shots", [0, 3, 5, 100])
    def test_it_is_not_to_be_found_by_those_who_have_it_back(self, log, shots):
        _, held = split(log)
        left = held.last(shots)
        assert left.multiply(held.history(shots)).nnz == 0
        assert np.array_equal(np.diff(left.indptr) > 0, np.diff(held.matrix.indptr) > shots)


class TestQuests:
    def scores(self, held, seed=0):
        return np.random.default_rng(seed).normal(size=held.matrix.shape).astype(np.float32)

    def test_the_same_scores_are_ranked_for_all_of_them_as_for_each(self, log):
        _, held = split(log)
        scores, calls = self.scores(held), []

        def counted(block):
            calls.append(block)
            return scores[block]

        quests = [held.quest(0), held.quest(2), held.quest(2).without(np.array([1, 4]))]
        together = held.rank_quests(counted, quests, n=5)
        assert len(calls) == 1
        for quest, ranked in zip(quests, together, strict=True):
            (alone,) = held.rank_quests(scores.__getitem__, [quest], n=5)
            assert np.array_equal(alone.columns, ranked.columns)
            assert np.array_equal(alone.hits, ranked.hits)
            assert np.array_equal(alone.relevant, ranked.relevant)

    def test_a_fixed_truth_is_ranked_without_what_comes_back_until_then(self, log):
        """Scores know two shots; lists and truth are those of four."""
        _, held = split(log)
        ranked = held.rank_all(self.scores(held).__getitem__, 4, n=N_ITEMS)
        back = held.history(4).toarray() > 0
        assert not any(
            back[row, listed[listed >= 0]].any() for row, listed in enumerate(ranked.columns)
        )

    def test_columns_that_are_left_out_are_neither_listed_nor_right(self, log):
        _, held = split(log)
        gone = np.array([0, 5, 6])
        whole = held.quest(1)
        scores = self.scores(held)
        before = scores.copy()
        with_all, without = held.rank_quests(
            scores.__getitem__, [whole, whole.without(gone)], n=N_ITEMS
        )
        assert np.array_equal(scores, before)
        for row in range(len(HELD)):
            kept = with_all.columns[row][~np.isin(with_all.columns[row], gone)]
            assert without.columns[row][: len(kept)].tolist() == kept.tolist()
            assert (without.columns[row][len(kept) :] == -1).all()
            theirs = set(whole.truth[row].indices) - set(gone)
            assert without.relevant[row] == len(theirs)
        assert with_all.relevant.sum() > without.relevant.sum()

    def test_of_nothing_left_out_nothing_changes(self, log):
        _, held = split(log)
        none = held.quest(1).without(np.zeros(0, np.int64))
        ours, theirs = held.rank_quests(self.scores(held).__getitem__, [held.quest(1), none])
        assert np.array_equal(ours.columns, theirs.columns)
        assert isinstance(none, Quest)

    def test_among_candidates_the_best_come_first_and_ties_by_the_order(self):
        scores = np.array([[3, 1, 1, 2, 9], [np.nan, 5, 5, -np.inf, 0]], np.float32)
        candidates = np.array([[0, 1, 2, 3], [0, 1, 2, 3]])
        truth = sp.csr_matrix(np.array([[0, 0, 1, 0, 0], [0, 1, 0, 0, 0]], np.float32))
        quest = SampledQuest(candidates, truth)
        block, order = slice(0, 2), np.array([4, 3, 2, 1, 0])
        assert quest.best(scores, block, 4, None).tolist() == [[0, 3, 1, 2], [1, 2, -1, -1]]
        assert quest.best(scores, block, 4, order).tolist() == [[0, 3, 2, 1], [2, 1, -1, -1]]
        assert quest.best(scores, block, 6, None)[0].tolist() == [0, 3, 1, 2, -1, -1]
        assert quest.best(scores[1:], slice(1, 2), 1, None).tolist() == [[1]]

    def test_one_positive_against_a_negative_is_a_hit_at_one_as_often_as_it_scores_higher(self):
        """The area under the curve, by hand."""
        rng = np.random.default_rng(2)
        n_people, n_columns = 60, 11
        scores = rng.normal(size=(n_people, n_columns)).astype(np.float32)
        pair = np.array([rng.permutation(n_columns)[:2] for _ in range(n_people)])
        ones, rows = np.ones(n_people, np.float32), np.arange(n_people)
        truth = sp.csr_matrix((ones, (rows, pair[:, 0])), scores.shape)
        held = HeldOut(rows, truth, np.zeros(n_people, np.int64), np.zeros(n_people, np.int64))
        (ranked,) = held.rank_quests(scores.__getitem__, [SampledQuest(pair, truth)], n=1)
        better = scores[rows, pair[:, 0]] > scores[rows, pair[:, 1]]
        assert np.array_equal(ranked.hits[:, 0], better)
        assert ranked.relevant.tolist() == [1] * n_people
