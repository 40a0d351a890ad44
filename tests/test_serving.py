"""Answers from a catalog small enough to work out by hand.

Scores are float32: they agree with float64 to 1e-4.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from coldstart.als import PriorALS
from coldstart.answer import answer
from coldstart.errors import DataError, UnknownIdError
from coldstart.evidence import SoftGate, foretold
from coldstart.fitted import Fitted, widened
from coldstart.prior import Prior
from coldstart.row_loss import SquaredLoss
from coldstart.serving import Belief, Extras, Served, solve_believed, trust_of
from coldstart.strength import Fallback, NullArm, Strength
from coldstart.targets.prior_als import PriorALSTarget
from coldstart.vocabulary import Vocabulary

D, N_TRAINED, N_ADDED, N_ITEMS = 3, 12, 2, 8
N = N_TRAINED + N_ADDED
ALPHA, RIDGE = 3.0, 0.7
STRENGTH = Strength((0, 2), (0.5, 1.0), (1.0, 4.0), RIDGE)
UNKNOWN = Fallback((0, 1), (NullArm("mean", "all", 1.0, RIDGE), NullArm("mean", "all", 0.5, RIDGE)))
SOURCE_KNOWS = np.array([*[True] * 9, False, False, False, True, True, False])
PEOPLE = [f"u{row}" for row in range(N)]
ITEMS = [f"i{row}" for row in range(N_ITEMS)]
STRANGER = -1


def make_log():
    rng = np.random.default_rng(2)
    values = rng.integers(1, 4, (N_TRAINED, N_ITEMS)) * (rng.random((N_TRAINED, N_ITEMS)) < 0.35)
    values[0] = 0  # nothing is known of u0 but by the source
    values[1] = 2  # u1 has everything
    values[:, 6] = 0  # nobody but u1 has i6
    values[1, 6] = 1
    return sp.csr_matrix(values.astype(np.float32))


def make_prior():
    rng = np.random.default_rng(3)
    spread = rng.normal(size=(D, 2 * D))
    mean = rng.normal(size=(N + 1, D))
    return Prior(mean, rng.uniform(1, 3, N + 1), shared=spread @ spread.T, origin=[0.3, 0.2, 0.1])


def make_nulls():
    """Three rows, of which the first is used."""
    rng = np.random.default_rng(4)
    spread = rng.normal(size=(D, 2 * D))
    return Prior(rng.normal(size=(3, D)), 2.0, shared=spread @ spread.T)


def prior_of(belief, row, count):
    """The prior of one row (-1: a stranger) with so many interactions, put together by hand."""
    if row >= 0 and SOURCE_KNOWS[row]:
        bucket = int(count >= 2)
        prior = belief.prior.take([row]).centre(STRENGTH.centre[bucket])
        return prior.temper(STRENGTH.temper[bucket])
    return belief.nulls.take([0]).temper(0.5 if count else 1.0)


@pytest.fixture(scope="module")
def belief():
    return Belief(
        make_prior(), SOURCE_KNOWS, make_nulls(), STRENGTH, (True, True), UNKNOWN, UNKNOWN
    )


@pytest.fixture(scope="module")
def served(belief):
    log = make_log()
    model = PriorALS(factors=D, regularization=RIDGE, alpha=ALPHA, iterations=5, rng=0)
    model.fit(log, show_progress=False)
    target = PriorALSTarget(model.clone(), "users")
    columns, known = model.item_factors, widened(log, (N, N_ITEMS))
    loss = SquaredLoss(columns, ALPHA)
    rows = solve_believed(belief, np.arange(N), known, loss, num_threads=1)
    trained = target.trained(rows, columns, log)
    none = Extras(
        *(np.zeros(shape, np.float32) for shape in ((N + 1, 0), (N_ITEMS, 0), (0, N_ITEMS)))
    )
    ids = Vocabulary(PEOPLE), Vocabulary(ITEMS)
    return Fitted(target, trained, belief, ids, log, none).served


def dense(values, other, prior=None, row=0):
    """The equation of one row (m,) of values, in float64."""
    y, values = other.astype(np.float64), np.asarray(values, np.float64)
    c = np.where(values > 0, ALPHA * values, 1.0)
    a = (y.T * c) @ y + RIDGE * np.eye(D)
    b = y.T @ (c * (values > 0))
    if prior is not None:
        precision = prior.matrices()[row]
        a, b = a + precision, b + precision @ prior.mean[row]
    return np.linalg.solve(a, b)


def history_of(*columns):
    values = np.zeros((1, N_ITEMS), np.float32)
    values[0, list(columns)] = 1
    return sp.csr_matrix(values)


def near(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def recommend(served, ids, n=N_ITEMS, history=None, missing="raise", num_threads=1):
    return answer(
        served,
        served.mapped,
        ids,
        n=n,
        history=history,
        missing=missing,
        num_threads=num_threads,
    )


def audience(served, ids, n=N, history=None, missing="raise"):
    return answer(served, served.other, ids, n=n, history=history, missing=missing, num_threads=1)


class TestBelief:
    def test_rows_the_source_knows_are_pulled_by_the_strength_and_others_by_a_mean(self, belief):
        rows, counts = np.array([3, 3, 10, 10, STRANGER]), np.array([0, 2, 0, 1, 1])
        seen = {}
        for where, prior, ridge in belief.groups(rows, counts):
            assert ridge == RIDGE
            for place, position in enumerate(where):
                seen[int(position)] = prior.take([place if len(prior) > 1 else 0])
        for position, (row, count) in enumerate(zip(rows, counts, strict=True)):
            expected = prior_of(belief, row, count)
            near(seen[position].mean, expected.mean)
            near(seen[position].matrices(), expected.matrices())

    def test_a_closed_gate_gives_mapped_rows_their_fallback(self, belief):
        arm = NullArm("plain", "all", 1.0, 3.0)
        closed = replace(belief, open=(True, False), fallback=Fallback((0, 2), (NullArm(), arm)))
        assert closed.follows(np.array([3, 3, 10]), np.array([1, 2, 5])).tolist() == [
            True,
            False,
            False,
        ]
        [(where, prior, ridge)] = closed.groups(np.array([3]), np.array([2]))
        assert (where.tolist(), prior, ridge) == ([0], None, 3.0)

    def test_of_plain_factors_nothing_is_believed_but_of_a_stranger_that_it_is_like_them(self):
        factors = np.random.default_rng(0).normal(size=(40, D)).astype(np.float32)
        belief = Belief.of_mean(factors, 2.0)
        [(where, prior, ridge)] = belief.groups(np.array([0, 39]), np.array([1, 5]))
        assert (where.tolist(), prior, ridge) == ([0, 1], None, 2.0)
        [(_, prior, _)] = belief.groups(np.array([STRANGER]), np.array([1]))
        near(prior.mean[0], factors.mean(axis=0))
        own = np.cov(factors.T, bias=True)
        expected = (40 * own + factors.astype(np.float64).var() * np.eye(D)) / 41
        near(np.linalg.inv(prior.matrices()[0]), expected)

    @pytest.mark.parametrize("shape", [(1, 2), (1, 1), (5, 1)])
    def test_a_stranger_is_believed_something_of_however_few_there_are(self, shape):
        belief = Belief.of_mean(np.ones(shape, np.float32), 2.0)
        [(_, prior, _)] = belief.groups(np.array([STRANGER]), np.array([1]))
        assert np.linalg.eigvalsh(prior.matrices()[0]).min() > 0


class TestSoft:
    """Rows 3 and 4 are known to the source, 10 is not; with 0, some and no interactions."""

    GATE = SoftGate(0.7, 0.4)
    ROWS = np.array([3, 3, 4, 10, STRANGER])

    def settings(self):
        log = make_log()[self.ROWS].tolil()
        log[0] = 0
        return sp.csr_matrix(log), {"num_threads": 1}

    def hard(self, belief, rows, matrix, loss, settings):
        return solve_believed(replace(belief, soft=None), rows, matrix, loss, **settings)

    def test_trust_is_the_weight_of_the_evidence_under_the_source_and_without_it(
        self, belief, served
    ):
        matrix, settings = self.settings()
        columns = served.other.factors
        soft = replace(belief, soft=self.GATE)
        found = trust_of(soft, self.ROWS, matrix, served.mapped.loss, **settings)
        for place, row in enumerate(self.ROWS[:3]):
            one = matrix[place]
            evidence = [
                foretold(one, columns, alpha=ALPHA, regularization=RIDGE, prior=prior)
                for prior in (prior_of(belief, row, one.nnz), prior_of(belief, STRANGER, one.nnz))
            ]
            assert found[place] == pytest.approx(self.GATE.weight(*evidence)[0], abs=1e-9)
        assert found[0] == pytest.approx(1 / (1 + np.exp(-0.4)), rel=1e-12)
        assert len(set(found[:3].round(6))) == 3
        assert found[3:].tolist() == [0.0, 0.0]

    def test_rows_are_mixed_by_it_of_what_serves_them_with_the_source_and_without(
        self, belief, served
    ):
        matrix, settings = self.settings()
        soft = replace(belief, soft=self.GATE)
        found = solve_believed(soft, self.ROWS, matrix, served.mapped.loss, **settings)
        strangers = np.full(len(self.ROWS), STRANGER)
        whole, null = (
            self.hard(belief, rows, matrix, served.mapped.loss, settings)
            for rows in (self.ROWS, strangers)
        )
        w = trust_of(soft, self.ROWS, matrix, served.mapped.loss, **settings)[:, None]
        near(found, w * whole + (1 - w) * null)
        assert np.array_equal(found[3:], whole[3:])  # the source knows nothing of them

    def test_where_the_gate_is_closed_nothing_is_mixed_bit_for_bit(self, belief, served):
        matrix, settings = self.settings()
        plain = Fallback((0,), (NullArm("plain", "all", 1.0, 3.0),))
        closed = replace(belief, open=(True, False), fallback=plain, soft=self.GATE)
        counts = np.diff(matrix.indptr)
        assert counts[2] >= 2
        found, hard = (
            solve(closed, self.ROWS, matrix, served.mapped.loss, **settings)
            for solve in (solve_believed, lambda b, *a, **k: self.hard(b, *a, k))
        )
        shut = counts >= 2
        assert np.array_equal(found[shut], hard[shut])
        assert not np.array_equal(found[0], hard[0])
        assert not trust_of(closed, self.ROWS, matrix, served.mapped.loss, **settings)[shut].any()

    def test_a_source_that_foretold_nothing_leaves_what_serves_a_stranger(self, belief, served):
        """A huge slope makes the weight 0 without making the row one that does not follow."""
        matrix, settings = self.settings()
        far = replace(belief, prior=Prior(belief.prior.mean + 50, 100.0), soft=SoftGate(1e4, 0.0))
        found = solve_believed(far, self.ROWS[2:3], matrix[2:3], served.mapped.loss, **settings)
        stranger = self.hard(
            belief, np.array([STRANGER]), matrix[2:3], served.mapped.loss, settings
        )
        assert np.array_equal(found, stranger)

    def test_the_row_map_is_blended_in_by_it(self, belief, served):
        rng = np.random.default_rng(8)
        blend = replace(belief.strength, blend=(0.5, 0.5))
        rows, columns = (rng.normal(size=(n, 2)).astype(np.float32) for n in (N + 1, N_ITEMS))
        extras = replace(served.extras, rows=rows, columns=columns)

        def added(soft):
            side = replace(served.mapped, belief=replace(belief, strength=blend, soft=soft))
            wide = Served(side, served.other, served.layout, extras)
            return wide.catalog(side)[:, D:], wide.trust(np.arange(N), side.seen, 1)

        (whole, _), (weighed, trust) = added(None), added(self.GATE)
        near(weighed[:, :2], trust[:, None] * whole[:, :2])
        assert trust[SOURCE_KNOWS[:N]].min() > 0


class TestSides:
    def test_rows_of_the_source_alone_stand_at_their_centred_prior_mean(self, served, belief):
        m0 = belief.prior.origin
        expected = m0 + 0.5 * (belief.prior.mean[N_TRAINED:N] - m0)
        near(served.mapped.factors[N_TRAINED:], expected)

    def test_rows_of_the_target_are_solved_around_their_priors(self, served, belief):
        log = make_log()
        for row in (1, 4, 10):
            prior = prior_of(belief, row, log[row].nnz)
            expected = dense(log[row].toarray()[0], served.other.factors, prior)
            near(served.mapped.factors[row], expected)

    def test_rows_nobody_was_shown_are_not_evidence_against_anyone(self, served):
        trained = served.mapped.factors[:N_TRAINED].astype(np.float64)
        near(served.other.loss.gram, trained.T @ trained)

    def test_what_was_seen_is_the_log_from_both_sides(self, served):
        log = make_log().toarray()
        assert np.array_equal(served.mapped.seen.toarray()[:N_TRAINED], log)
        assert not served.mapped.seen.toarray()[N_TRAINED:].any()
        assert np.array_equal(served.other.seen.toarray(), served.mapped.seen.toarray().T)

    def test_history_is_added_to_what_is_stored_and_the_larger_value_counts(self, served):
        rows, history = np.array([4, STRANGER]), sp.vstack([history_of(0, 3), history_of(5)])
        merged = served.mapped.merged(rows, history.tocsr()).toarray()
        expected = np.maximum(make_log()[4].toarray()[0], history_of(0, 3).toarray()[0])
        assert np.array_equal(merged[0], expected)
        assert np.array_equal(merged[1], history_of(5).toarray()[0])

    def test_without_news_a_row_keeps_its_embedding_bit_for_bit(self, served):
        nothing = sp.csr_matrix((3, N_ITEMS), dtype=np.float32)
        rows = np.array([13, 0, 4])
        embedded = served.mapped.embed(rows, nothing, 1)
        assert np.array_equal(embedded, served.mapped.factors[rows])

    def test_with_news_a_row_is_solved_again_with_all_that_is_known_of_it(self, served, belief):
        new = next(j for j in range(N_ITEMS) if not make_log()[4, j])
        embedded = served.mapped.embed(np.array([4]), history_of(new), 1)
        values = make_log()[4].toarray()[0]
        values[new] = 1
        prior = prior_of(belief, 4, np.count_nonzero(values))
        near(embedded[0], dense(values, served.other.factors, prior))

    def test_a_stranger_with_news_is_solved_around_the_mean(self, served, belief):
        embedded = served.mapped.embed(np.array([STRANGER]), history_of(2, 5), 1)
        prior = prior_of(belief, STRANGER, 2)
        near(embedded[0], dense(history_of(2, 5).toarray()[0], served.other.factors, prior))

    def test_on_the_other_side_news_are_folded_in_as_plain_als_does(self, served):
        people = np.zeros((1, N), np.float32)
        people[0, [0, 5]] = 1
        embedded = served.other.embed(np.array([6]), sp.csr_matrix(people), 1)
        values = served.other.seen[6].toarray()[0]
        values[[0, 5]] = 1
        trained = served.mapped.factors[:N_TRAINED]
        near(embedded[0], dense(values[:N_TRAINED], trained))


class TestAnswer:
    def test_scores_are_products_of_embeddings_best_first_without_what_was_seen(self, served):
        ids, scores = recommend(served, ["u4", "u12"])
        assert (ids.shape, ids.dtype, scores.dtype) == ((2, N_ITEMS), object, np.float32)
        for place, row in enumerate((4, 12)):
            expected = served.mapped.factors[row] @ served.other.factors.T
            open_to = np.flatnonzero(served.mapped.seen[row].toarray()[0] == 0)
            order = open_to[np.argsort(-expected[open_to])]
            assert ids[place][: len(order)].tolist() == [ITEMS[j] for j in order]
            near(scores[place][: len(order)], expected[order])

    def test_short_lists_end_in_none_and_minus_infinity(self, served):
        ids, scores = recommend(served, ["u1", "u12"], n=N_ITEMS + 2)
        assert ids[0].tolist() == [None] * (N_ITEMS + 2)
        assert np.isneginf(scores[0]).all()
        assert ids[1][-2:].tolist() == [None, None]
        assert np.isneginf(scores[1][-2:]).all()
        assert np.isfinite(scores[1][:-2]).all()

    def test_what_history_tells_is_seen_too(self, served):
        ids, _ = recommend(served, ["u12"], history={"u12": ["i2", "i5"]})
        assert set(ids[0]) == {*ITEMS, None} - {"i2", "i5"}

    def test_history_of_some_leaves_others_alone(self, served):
        plain = recommend(served, ["u3", "u12", "u5"])
        told = recommend(served, ["u3", "u12", "u5"], history={"u12": ["i2"]})
        for place in (0, 2):
            assert np.array_equal(plain[0][place], told[0][place])
            near(plain[1][place], told[1][place])
        assert not np.array_equal(plain[0][1], told[0][1])

    def test_an_empty_history_is_none(self, served):
        plain = recommend(served, ["u12"])
        for history in ({}, {"u12": []}, {"u12": np.array([])}):
            told = recommend(served, ["u12"], history=history)
            assert np.array_equal(told[1], plain[1])

    def test_nothing_of_a_history_is_kept(self, served):
        before = recommend(served, PEOPLE)
        recommend(served, PEOPLE, history={person: ["i0", "i7"] for person in PEOPLE})
        after = recommend(served, PEOPLE)
        assert np.array_equal(before[0], after[0])
        assert np.array_equal(before[1], after[1])

    def test_an_item_told_twice_counts_once(self, served):
        once = recommend(served, ["u12"], history={"u12": ["i2"]})
        twice = recommend(served, ["u12"], history={"u12": ["i2", "i2"]})
        assert np.array_equal(once[1], twice[1])

    def test_an_id_may_be_asked_for_twice(self, served):
        ids, scores = recommend(served, ["u4", "u12", "u4"], history={"u4": ["i0"]})
        assert np.array_equal(ids[0], ids[2])
        assert np.array_equal(scores[0], scores[2])

    def test_nobody_is_asked_for(self, served):
        ids, scores = recommend(served, [], n=3)
        assert (ids.shape, scores.shape) == ((0, 3), (0, 3))

    @pytest.mark.parametrize(
        "form", [tuple, np.array, pd.Series, pl.Series, Vocabulary, iter], ids=str
    )
    def test_ids_come_in_any_sequence(self, served, form):
        ids, _ = recommend(served, form(["u4", "u12"]))
        assert np.array_equal(ids, recommend(served, ["u4", "u12"])[0])

    def test_neither_the_other_people_nor_the_threads_matter(self, served):
        whole = recommend(served, PEOPLE)
        parts = [recommend(served, [person], num_threads=2) for person in PEOPLE]
        for part, alone in zip(whole, zip(*parts, strict=True), strict=True):
            assert np.array_equal(part, np.concatenate(alone))

    def test_rows_of_the_source_alone_are_found_for_a_column(self, served):
        ids, _ = audience(served, ["i6"])
        assert set(ids[0]) == {*PEOPLE, None} - {"u1"}


class TestUnknownIds:
    def test_they_are_an_error_that_names_them(self, served):
        with pytest.raises(UnknownIdError) as error:
            recommend(served, ["u4", *"abcd"])
        assert str(error.value) == (
            "unknown ids 'a', 'b', 'c', ... (4 in all): take them out, "
            'or pass missing="popular" to serve them the most popular'
        )

    def test_or_get_what_is_popular_where_that_is_asked_for(self, served):
        ids, scores = recommend(served, ["new", "u4"], missing="popular")
        counts = np.diff(make_log().tocsc().indptr)
        order = np.argsort(-counts, kind="stable")
        assert ids[0].tolist() == [ITEMS[j] for j in order]
        assert scores[0].tolist() == counts[order].tolist()
        assert np.array_equal(ids[1], recommend(served, ["u4"])[0][0])

    @pytest.mark.parametrize("missing", ["raise", "popular"])
    def test_with_a_history_they_are_served_by_it(self, served, missing):
        ids, scores = recommend(served, ["new"], history={"new": ["i2", "i5"]}, missing=missing)
        row = served.mapped.embed(np.array([STRANGER]), history_of(2, 5), 1)[0]
        assert set(ids[0]) == {*ITEMS, None} - {"i2", "i5"}
        near(scores[0][:-2], np.sort((row @ served.other.factors.T)[[0, 1, 3, 4, 6, 7]])[::-1])

    def test_unknown_items_of_a_history_are_an_error(self, served):
        with pytest.raises(UnknownIdError) as error:
            recommend(served, ["u4"], history={"u4": ["i2", "nothing"]})
        assert str(error.value) == (
            "unknown ids 'nothing': take them out, "
            'or pass missing="popular" to leave them out of the history'
        )

    def test_or_left_out_where_that_is_asked_for(self, served):
        told = recommend(served, ["u4"], history={"u4": ["i2", "?"]}, missing="popular")
        assert np.array_equal(told[1], recommend(served, ["u4"], history={"u4": ["i2"]})[1])

    def test_a_stranger_with_nothing_but_unknown_items_gets_what_is_popular(self, served):
        told = recommend(served, ["new"], history={"new": ["?"]}, missing="popular")
        assert np.array_equal(told[0], recommend(served, ["new"], missing="popular")[0])

    def test_integers_for_strings_are_told_as_such(self, served):
        with pytest.raises(UnknownIdError) as error:
            recommend(served, [1, 2])
        assert str(error.value) == (
            "unknown ids 1, 2: they are integers but those of the model are strings, convert them"
        )


class TestWrongArguments:
    @pytest.mark.parametrize(
        ("arguments", "kind", "message"),
        [
            ({"ids": "u4"}, TypeError, "ids must be a sequence, got 'u4': put a single id in"),
            ({"ids": 4}, TypeError, "ids must be a sequence, got 4: put a single id in a list"),
            ({"ids": ["u4", 4]}, DataError, "ids are of mixed types, such as 'u4' and 4"),
            ({"ids": ["u4", None]}, DataError, "1 of 2 ids are null"),
            ({"n": 0}, ValueError, "n must be at least 1, got 0"),
            ({"n": -3}, ValueError, "n must be at least 1, got -3"),
            ({"missing": "mask"}, ValueError, 'missing must be "raise" or "popular", got \'mask\''),
            ({"history": {"u4": "i2"}}, TypeError, "ids must be a sequence, got 'i2'"),
            (
                {"history": {"u5": ["i2"], "u7": []}},
                ValueError,
                "history names 2 ids that were not asked for, for example 'u5'",
            ),
        ],
    )
    def test_they_are_refused_with_what_to_do(self, served, arguments, kind, message):
        with pytest.raises(kind, match=message):
            recommend(served, **{"ids": ["u4"], **arguments})
