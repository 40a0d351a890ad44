"""TaskAdapter against dense Kronecker solves, RidgeAdapter, plain ALS and a known map.

Where nothing else is said, the two sides are the same numbers computed in two ways, and conjugate
gradients were asked for a residual of 1e-12: they agree to 1e-8.
"""

import time

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.adapters import AnchorContext, RidgeAdapter, TaskAdapter
from coldstart.adapters.normal_equations import conjugate_gradients
from coldstart.anchors import find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.errors import AnchorError, FitError
from coldstart.rows import solve_rows

N, D_SOURCE, D, COLUMNS = 35, 6, 4, 23
ALPHA = 7.0


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def draw(n=N, seed=0):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, D_SOURCE)) + rng.normal(size=D_SOURCE)
    weights = np.random.default_rng(9).normal(size=(D_SOURCE, D))
    return source, 1.0 + source @ weights + 0.5 * rng.normal(size=(n, D))


def draw_log(n=N, columns=COLUMNS, seed=1):
    """Interactions with values other than 1, a few for most people and many for some."""
    rng = np.random.default_rng(seed)
    share = rng.choice([0.1, 0.6], size=(n, 1))
    dense = (rng.random((n, columns)) < share) * rng.uniform(0.5, 2, (n, columns))
    dense[np.arange(n), rng.integers(columns, size=n)] = 1.0  # everybody has one
    return sp.csr_matrix(dense)


def draw_context(n=N, **parts):
    other = np.random.default_rng(4).normal(size=(COLUMNS, D))
    parts = {"target_rows": draw_log(n), "other_factors": other, "alpha": ALPHA, **parts}
    return AnchorContext(**parts)


def exact(ridge=0.3, **settings):
    return TaskAdapter(ridge, **{"normalize": False, "tolerance": 1e-12, **settings})


class Dense:
    """The normal equations as they stand in the docstring, every Kronecker product formed."""

    def __init__(self, source, context, *, weight, ridge, exponent, n0, m0):
        log, other = context.target_rows.toarray(), context.other_factors
        seen = log != 0
        tamed = weight * seen.sum(axis=1) ** -float(exponent)
        a = tamed * weight.sum() / tamed.sum()
        confidence = np.where(seen, context.alpha * log, 1.0)
        curves = np.einsum("ui,ij,ik->ujk", confidence, other, other)
        rows = source - np.average(source, axis=0, weights=a)
        design = np.hstack([np.ones((len(rows), 1)), rows])
        size = np.trace(np.average(curves, axis=0, weights=a)) / D
        penalty = size * np.array([n0, *[ridge * np.mean(a @ rows**2)] * rows.shape[1]])
        left, right = np.kron(np.diag(penalty), np.eye(D)), np.zeros((design.shape[1], D))
        right[0] = penalty[0] * m0
        for u, z in enumerate(design):
            left += a[u] * np.kron(np.outer(z, z), curves[u])
            right += a[u] * np.outer(z, (confidence[u] * seen[u]) @ other)
        self.theta = np.linalg.solve(left, right.ravel()).reshape(right.shape)
        self.mean = np.average(source, axis=0, weights=a)


class TestEquations:
    @pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("n", [5, N, 120])
    def test_the_map_is_that_of_the_dense_kronecker_equations(self, n, exponent):
        source, target = draw(n)
        weight, m0 = np.linspace(0.3, 2, n), np.array([1.0, -2.0, 0.5, 3.0])
        context = draw_context(n, mean=m0)
        adapter = exact(activity=exponent, pseudo_anchors=3.0)
        adapter.fit(source, target, weight=weight, context=context)
        dense = Dense(source, context, weight=weight, ridge=0.3, exponent=exponent, n0=3.0, m0=m0)
        near(adapter.source_mean_, dense.mean)
        near(np.vstack([adapter.intercept_, adapter.coef_]), dense.theta)

    def test_the_map_has_the_least_loss_that_a_general_optimiser_finds(self):
        from scipy.optimize import minimize

        source, target = draw()
        context = draw_context(mean=np.zeros(D))
        adapter = exact(1e-9, activity=0.0, pseudo_anchors=1e-9).fit(
            source, target, context=context
        )
        log, other = context.target_rows.toarray(), context.other_factors
        design = np.hstack([np.ones((N, 1)), source])
        confidence, wanted = np.where(log != 0, ALPHA * log, 1.0), (log != 0) * 1.0

        def loss(theta):
            away = wanted - design @ theta.reshape(-1, D) @ other.T
            slope = -2 * design.T @ (confidence * away) @ other
            return np.sum(confidence * away**2), slope.ravel()

        found = minimize(loss, np.zeros((1 + D_SOURCE) * D), jac=True, method="BFGS", tol=1e-9)
        ours = adapter.predict(source).mean
        near(ours, design @ found.x.reshape(-1, D), rtol=1e-4)  # as far as BFGS gets

    def test_one_person_per_direction_gives_the_rows_that_als_solves_one_by_one(self):
        """With the map free to put everybody anywhere, everybody is put where ALS would."""
        people = 5
        source = np.eye(people)[:, : people - 1]  # with the intercept, as many unknowns as people
        context = draw_context(people, mean=np.zeros(D))
        adapter = exact(1e-10, activity=0.7, pseudo_anchors=0.0)
        adapter.fit(source, np.ones((people, D)), context=context)
        rows = solve_rows(
            context.target_rows.astype(np.float32),
            context.other_factors.astype(np.float32),
            alpha=ALPHA,
            regularization=0.0,
        )
        near(adapter.predict(source).mean, rows, rtol=1e-5)  # rows are in single precision

    def test_a_negative_confidence_is_a_dislike_as_in_als(self):
        people = 5
        log = draw_log(people)
        log.data[::3] *= -1
        context = draw_context(people, target_rows=log, mean=np.zeros(D))
        source = np.eye(people)[:, : people - 1]
        adapter = exact(1e-10, activity=0.0, pseudo_anchors=0.0)
        adapter.fit(source, np.ones((people, D)), context=context)
        other = context.other_factors.astype(np.float32)
        rows = solve_rows(log.astype(np.float32), other, alpha=ALPHA, regularization=0.0)
        near(adapter.predict(source).mean, rows, rtol=1e-5)  # rows are in single precision

    def test_a_rotated_target_space_gets_the_rotated_map(self):
        source, target = draw()
        rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
        context = draw_context()
        turned = draw_context(other_factors=context.other_factors @ rotation)
        ours = exact().fit(source, target, context=context).predict(source)
        theirs = exact().fit(source, target @ rotation, context=turned).predict(source)
        near(theirs.mean, ours.mean @ rotation)
        near(theirs.matrices(), rotation.T @ ours.matrices() @ rotation, rtol=1e-4)  # loose folds

    def test_the_ridge_follows_the_scale_of_the_source(self):
        source, target = draw()
        context = draw_context()
        ours = exact().fit(source, target, context=context).predict(source)
        scaled = exact().fit(1e3 * source, target, context=context).predict(1e3 * source)
        near(scaled.mean, ours.mean)

    def test_normalised_rows_have_length_one(self):
        source, target = draw()
        context = draw_context()
        lengths = np.linalg.norm(source, axis=1, keepdims=True)
        ours = exact(normalize=True).fit(source, target, context=context)
        theirs = exact().fit(source / lengths, target, context=context)
        near(ours.predict(7 * source).mean, theirs.predict(source / lengths).mean)

    def test_many_pseudo_anchors_hold_the_intercept_at_the_mean_of_all_rows(self):
        source, target = draw()
        context = draw_context(mean=np.full(D, 2.5))
        adapter = exact(pseudo_anchors=1e9).fit(source, target, context=context)
        near(adapter.intercept_, np.full(D, 2.5), rtol=1e-6)  # 35 anchors against 1e9

    def test_only_the_embeddings_of_the_spread_and_the_mean_read_target_rows(self):
        source, target = draw()
        context = draw_context(mean=np.ones(D))
        ours = exact().fit(source, target, context=context)
        theirs = exact().fit(source, np.roll(target, 3, axis=0), context=context)
        near(theirs.coef_, ours.coef_)
        assert not np.allclose(theirs.spread_.covariance, ours.spread_.covariance)


class TestWithoutInteractions:
    def test_the_map_is_that_of_the_ridge_adapter(self):
        source, target = draw()
        weight, context = np.linspace(0.3, 2, N), AnchorContext(mean=np.ones(D))
        ours = exact(0.7).fit(source, target, weight=weight, context=context)
        theirs = RidgeAdapter(0.7, normalize=False)
        theirs.fit(source, target, weight=weight, context=context)
        near(ours.coef_, theirs.coef_)
        near(ours.intercept_, theirs.intercept_)

    def test_with_factors_of_the_other_side_errors_are_those_of_scores(self):
        source, target = draw()
        other = np.random.default_rng(4).normal(size=(COLUMNS, D))
        adapter = exact().fit(source, target, context=AnchorContext(other_factors=other))
        rows, gram = source - source.mean(axis=0), other.T @ other
        rho = 0.3 * np.mean(np.sum(rows**2, axis=0)) * np.trace(gram) / D
        left = np.kron(rows.T @ rows, gram) + rho * np.eye(D_SOURCE * D)
        right = rows.T @ target @ gram
        near(adapter.coef_, np.linalg.solve(left, right.ravel()).reshape(D_SOURCE, D))
        assert adapter.steps_ <= 1  # the preconditioner is the inverse

    @pytest.mark.parametrize("missing", ["alpha", "other_factors"])
    def test_without_alpha_or_factors_activity_still_counts(self, missing):
        source, target = draw()
        context = draw_context(**{missing: None})
        ours = exact(activity=1.0).fit(source, target, context=context)
        weight = 1 / np.diff(context.target_rows.indptr)
        told = AnchorContext(other_factors=context.other_factors)
        theirs = exact().fit(source, target, weight=weight * N / weight.sum(), context=told)
        near(ours.coef_, theirs.coef_)


class TestActivity:
    @pytest.mark.parametrize("exponent", [0.5, 1.0])
    def test_an_exponent_is_a_weight_that_falls_with_the_number_of_interactions(self, exponent):
        source, target = draw()
        context = draw_context(mean=np.ones(D))
        weight = np.diff(context.target_rows.indptr) ** -exponent
        ours = exact(activity=exponent).fit(source, target, context=context)
        theirs = exact(activity=0.0)
        theirs.fit(source, target, weight=weight * N / weight.sum(), context=context)
        near(ours.coef_, theirs.coef_)
        near(ours.intercept_, theirs.intercept_)

    def test_people_without_target_interactions_count_for_nothing(self):
        source, target = draw()
        log = draw_log().tolil()
        log[:7] = 0
        context = draw_context(target_rows=log.tocsr(), mean=np.ones(D))
        fewer = draw_context(target_rows=log.tocsr()[7:], mean=np.ones(D))
        ours = exact().fit(source, target, context=context)
        theirs = exact().fit(source[7:], target[7:], context=fewer)
        near(ours.coef_, theirs.coef_)
        near(ours.intercept_, theirs.intercept_)

    def test_nobody_with_target_interactions_is_an_error(self):
        context = draw_context(target_rows=sp.csr_matrix((N, COLUMNS)))
        with pytest.raises(AnchorError, match="no anchor has a target interaction"):
            TaskAdapter().fit(*draw(), context=context)


class TestConjugateGradients:
    def test_too_few_steps_are_an_error_that_says_what_to_do(self):
        message = r"did not converge: after 1 steps .* allow more iterations, a larger tolerance or"
        with pytest.raises(FitError, match=message):
            exact(iterations=1).fit(*draw(), context=draw_context())

    @pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8])
    def test_the_residual_is_as_small_as_asked_for(self, tolerance):
        rng = np.random.default_rng(0)
        root = rng.normal(size=(30, 30))
        matrix, right = root @ root.T + np.eye(30), rng.normal(size=(30, 2))
        scale = 1 / matrix.diagonal()[:, None]
        found, steps = conjugate_gradients(
            matrix.__matmul__,
            right,
            np.zeros((30, 2)),
            lambda rows: scale * rows,
            tolerance=tolerance,
            iterations=500,
        )
        away = right - matrix @ found
        assert np.sum(scale * away**2) <= (1 + 1e-6) * tolerance**2 * np.sum(scale * right**2)
        assert steps > 0

    def test_a_start_at_the_solution_takes_no_step(self):
        start = np.arange(6.0).reshape(3, 2)
        found, steps = conjugate_gradients(
            lambda rows: 2 * rows, 2 * start, start, lambda rows: rows, tolerance=1e-6, iterations=1
        )
        near(found, start)
        assert steps == 0

    def test_nothing_on_the_right_is_zero(self):
        zero = np.zeros((3, 2))
        found, _ = conjugate_gradients(
            lambda rows: 2 * rows, zero, zero, lambda rows: rows, tolerance=1e-6, iterations=1
        )
        assert not found.any()

    def test_few_steps_are_enough_when_people_differ_widely(self):
        adapter = TaskAdapter(0.3, activity=0.0).fit(*draw(120), context=draw_context(120))
        assert adapter.steps_ < 25

    def test_the_bits_do_not_depend_on_the_number_of_threads(self, monkeypatch):
        source, target = draw(120)
        context = draw_context(120)
        monkeypatch.setattr("coldstart.adapters.normal_equations.ENTRIES", 64)
        maps = []
        for threads in (1, 3):
            monkeypatch.setattr("coldstart.threads.resolve_threads", lambda _, count=threads: count)
            maps.append(exact().fit(source, target, context=context).coef_)
        assert np.array_equal(*maps)

    def test_blocks_of_any_size_give_the_same_map(self, monkeypatch):
        source, target = draw(120)
        context = draw_context(120)
        whole = exact().fit(source, target, context=context).coef_
        monkeypatch.setattr("coldstart.adapters.normal_equations.ENTRIES", 1)
        near(exact().fit(source, target, context=context).coef_, whole)

    @pytest.mark.parametrize("columns", [1, 2])
    def test_fewer_columns_than_factors_leave_the_rest_to_the_penalty(self, columns):
        other = np.random.default_rng(4).normal(size=(columns, D))
        log = sp.csr_matrix(np.ones((N, columns)))
        for n0 in (0.0, 64.0):
            adapter = TaskAdapter(pseudo_anchors=n0)
            adapter.fit(*draw(), context=draw_context(target_rows=log, other_factors=other))
            assert np.isfinite(adapter.coef_).all()

    def test_factors_of_zeros_leave_everything_to_the_penalty(self):
        context = draw_context(other_factors=np.zeros((COLUMNS, D)), mean=np.ones(D))
        adapter = TaskAdapter().fit(*draw(), context=context)
        near(adapter.intercept_, np.ones(D))
        near(adapter.coef_, np.zeros((D_SOURCE, D)))


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"ridge": 0}, 'ridge must be "auto" or a positive number, got 0'),
            ({"ridge": "gcv"}, "ridge must be \"auto\" or a positive number, got 'gcv'"),
            ({"activity": -1}, 'activity must be "auto" or a number from 0 on, got -1'),
            ({"normalize": "auto"}, "normalize must be True or False, got 'auto'"),
            ({"pseudo_anchors": -1}, "pseudo_anchors must not be negative, got -1"),
            ({"tolerance": 0}, "tolerance must be between 0 and 1, got 0"),
            ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ],
    )
    def test_out_of_range_is_an_error(self, settings, message):
        with pytest.raises(ValueError, match=message):
            TaskAdapter(**settings).fit(*draw())

    def test_open_ones_are_spelled_out_for_held_out_people(self):
        assert len(TaskAdapter().candidates()) == 6
        assert len(TaskAdapter(0.5).candidates()) == 2
        assert len(TaskAdapter(activity=0.5).candidates()) == 3
        kept = TaskAdapter(0.5, activity=0.5, normalize=False, iterations=7)
        assert [option.get_params() for option in kept.candidates()] == [kept.get_params()]

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"target_rows": draw_log(7)}, "target_rows must have a row for each of the 35"),
            ({"target_rows": draw_log(N, 9)}, "has 9 columns but context.other_factors 23 rows"),
        ],
    )
    def test_interactions_of_other_anchors_or_columns_are_an_error(self, parts, message):
        with pytest.raises(ValueError, match=message):
            TaskAdapter().fit(*draw(), context=draw_context(**parts))


@pytest.fixture(scope="module")
def cross_domain():
    return make_cross_domain(1500, 400, 300, target_interactions=15.0, noise=0.2, rng=0)


def anchors_of(data):
    """True source embeddings of the anchors, and what ALS with true item factors knows of them."""
    found = find_anchors(data.source.users, data.target.users)
    source = data.source_embeddings[found.source]
    log = data.target.user_items[found.target]
    other = data.target_item_embeddings.astype(np.float32)
    rows = solve_rows(log, other, alpha=ALPHA, regularization=10.0)
    context = AnchorContext(target_rows=log, other_factors=other, alpha=ALPHA)
    return source, rows, context, data.target_embeddings[found.target]


class TestKnownMap:
    def test_new_people_score_items_as_their_true_embeddings_do(self, cross_domain):
        source, rows, context, truth = anchors_of(cross_domain)
        new = np.arange(len(source)) % 5 == 0
        told = AnchorContext(
            target_rows=context.target_rows[~new],
            other_factors=context.other_factors,
            alpha=ALPHA,
        )
        adapter = TaskAdapter(0.1).fit(source[~new], rows[~new], context=told)
        mean = adapter.predict(source[new]).mean @ context.other_factors.T
        wanted = truth[new] @ context.other_factors.T
        mean, wanted = (scores - scores.mean(axis=0) for scores in (mean, wanted))
        assert np.corrcoef(mean.ravel(), wanted.ravel())[0, 1] > 0.9

    def test_held_out_interactions_cost_less_than_by_a_map_of_embeddings(self, cross_domain):
        """What it minimises, it has less of than a map that minimises something else."""
        source, rows, context, _ = anchors_of(cross_domain)
        new = np.arange(len(source)) % 5 == 0
        log, other = context.target_rows, context.other_factors
        told = AnchorContext(target_rows=log[~new], other_factors=other, alpha=ALPHA)
        losses = []
        for adapter in (TaskAdapter(0.1, activity=0.0), RidgeAdapter(0.1)):
            adapter.fit(source[~new], rows[~new], context=told)
            scores = adapter.predict(source[new]).mean @ other.T
            seen = log[new].toarray() > 0
            losses.append(np.sum(np.where(seen, ALPHA, 1.0) * (seen - scores) ** 2))
        assert losses[0] < losses[1]


def test_a_large_fit_takes_seconds():
    """5,000 anchors, 64 factors on both sides and 60,000 interactions."""
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, 5000, 64)) * np.linspace(2, 0.2, 64)
    columns = rng.zipf(1.3, size=(5000, 12)) % 4000
    log = sp.csr_matrix((np.ones(60_000), columns.ravel(), np.arange(0, 60_001, 12)))
    log.sum_duplicates()
    log.data[:] = 1.0
    other = 0.1 * rng.normal(size=(log.shape[1], 64)) * np.linspace(2, 0.2, 64)
    context = AnchorContext(target_rows=log, other_factors=other, alpha=20.0)
    began = time.process_time()
    TaskAdapter().fit(source, target, context=context)
    assert time.process_time() - began < 20  # it takes about one
