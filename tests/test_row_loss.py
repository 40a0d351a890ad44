"""Rows in their model's own loss, against the loss written out and minimised in float64.

Rows are float32 and Newton's last step is as long as 1e-4: they agree to 2e-5.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import check_grad, minimize

from coldstart.als import PriorALS
from coldstart.errors import FitError
from coldstart.prior import Prior
from coldstart.row_loss import Contrast, LogisticLoss, SquaredLoss

M, F, N = 60, 4, 12
KINDS = ("points", "pairs", "softmax")
RNG = np.random.default_rng(0)
COLUMNS = RNG.normal(size=(M, F)).astype(np.float32)
OFFSETS, AGAINST = RNG.normal(size=(2, M)).astype(np.float32)
DRAWN = np.sort(RNG.choice(M, 20, replace=False))
SHARES = RNG.dirichlet(np.ones(20))
PRIOR = Prior(RNG.normal(size=(N, F)), RNG.uniform(0.2, 3, N), shared=np.eye(F) + 0.3)
RIDGE = 0.5


def make_log(seed=1):
    log = sp.random(N, M, 0.08, format="csr", random_state=seed, dtype=np.float32)
    log.data[:] = np.random.default_rng(seed).integers(1, 4, log.nnz)
    log = log.tolil()
    log[0] = 0
    return log.tocsr()


LOG = make_log()


def make_loss(kind, **settings):
    contrast = Contrast(DRAWN, SHARES, per_interaction=2.0, most=5.0, size=M)
    against = AGAINST if kind == "points" else None
    given = {"against": against, "weighted": kind != "pairs", **settings}
    return LogisticLoss(COLUMNS, OFFSETS, kind, contrast, **given)


def written_out(kind, row, prior=PRIOR, ridge=RIDGE):
    """What one row minimises, in plain numpy."""
    own, values = LOG[row].indices, LOG[row].data.astype(float)
    precision, mean = prior.matrices()[row], prior.mean[row]
    columns = COLUMNS.astype(float)

    def loss(x):
        s = columns[own] @ x + OFFSETS[own]
        t = columns[DRAWN] @ x + (AGAINST if kind == "points" else OFFSETS)[DRAWN]
        shares = SHARES if kind == "points" else np.where(np.isin(DRAWN, own), 0, SHARES)
        if kind == "points":
            total = min(2.0 * len(own), 5.0)
            found = values @ np.logaddexp(0, -s) + total * shares @ np.logaddexp(0, t)
        elif kind == "pairs":
            found = (shares * np.logaddexp(0, t[None] - s[:, None])).sum()
        else:
            ahead = np.exp(1 + t[None] - s[:, None])
            found = values @ np.log1p(M * (shares * ahead).sum(axis=1))
        return found + (ridge * x @ x + (x - mean) @ precision @ (x - mean)) / 2

    return loss


@pytest.mark.parametrize("kind", KINDS)
class TestSolve:
    def test_rows_minimise_the_loss_as_it_is_written(self, kind):
        rows = make_loss(kind).solve(LOG, prior=PRIOR, regularization=RIDGE)
        for row in range(1, N):
            best = minimize(written_out(kind, row), PRIOR.mean[row], options={"gtol": 1e-8}).x
            np.testing.assert_allclose(rows[row], best, atol=2e-5)

    def test_a_row_without_interactions_is_its_prior_and_zero_without_one(self, kind):
        loss = make_loss(kind)
        row = loss.solve(LOG, prior=PRIOR, regularization=RIDGE)[0]
        assert np.array_equal(row, PRIOR.mean[0].astype(np.float32))
        assert not loss.solve(LOG, prior=None, regularization=RIDGE)[0].any()

    def test_neither_others_nor_threads_matter(self, kind):
        loss = make_loss(kind)
        whole = loss.solve(LOG, prior=PRIOR, regularization=RIDGE, num_threads=2)
        for row in (0, 3, 7):
            alone = loss.solve(LOG[[row]], prior=PRIOR.take([row]), regularization=RIDGE)
            np.testing.assert_allclose(alone[0], whole[row], atol=2e-5)

    def test_a_firm_prior_holds_and_a_single_one_is_everybodys(self, kind):
        firm = make_loss(kind).solve(LOG, prior=PRIOR.temper(1e9), regularization=0.0)
        np.testing.assert_allclose(firm, PRIOR.mean, atol=1e-5)
        one = PRIOR.take([3])
        shared, spelled = (
            make_loss(kind).solve(LOG, prior=prior, regularization=0.0)
            for prior in (one, one.take(np.zeros(N, int)))
        )
        np.testing.assert_allclose(shared, spelled, atol=1e-6)

    @given(st.integers(0, 1000), st.sampled_from([0.01, 1.0, 30.0, 300.0]))
    def test_it_gets_there_from_anywhere(self, kind, seed, far):
        """The slope is nothing where it ends, whatever the scores were where it began."""
        mean = far * np.random.default_rng(seed).normal(size=(N, F))
        prior = Prior(mean, 0.05)
        rows = make_loss(kind).solve(LOG, prior=prior, regularization=RIDGE).astype(float)
        for row in (1, 5):
            target = written_out(kind, row, Prior(mean, np.full(N, 0.05)))
            best = minimize(target, rows[row], options={"gtol": 1e-7})
            assert target(rows[row]) <= best.fun + 1e-5 * (1 + abs(best.fun))

    def test_slopes_and_curvatures_are_those_of_the_values(self, kind):
        terms = make_loss(kind)._terms(LOG[1:])
        rows = PRIOR.mean[1:].copy()

        def at(x, place):
            moved = rows.copy()
            moved[place] = x
            return [part[place] for part in terms(moved)]

        for place in range(3):
            value, slope = (lambda x, i=i, place=place: at(x, place)[i] for i in (0, 1))
            assert check_grad(value, slope, rows[place]) < 1e-5
            for along in np.eye(F):
                bent = (at(rows[place] + 1e-5 * along, place)[1] - at(rows[place], place)[1]) / 1e-5
                np.testing.assert_allclose(bent, at(rows[place], place)[2] @ along, atol=1e-3)

    def test_stiffness_is_the_diagonal_of_the_second_derivatives(self, kind):
        loss = make_loss(kind)
        rows = PRIOR.mean.astype(np.float32)
        found, total = loss.stiffness(rows, LOG, prior=PRIOR, regularization=RIDGE)
        np.testing.assert_allclose(np.diag(total), found.sum(axis=0), rtol=1e-6)
        assert np.linalg.eigvalsh(total).min() > 0
        for row in (1, 4):
            f, x, h = written_out(kind, row), rows[row].astype(float), 1e-3
            for along, own in zip(np.eye(F), found[row], strict=True):
                bent = (f(x + h * along) - 2 * f(x) + f(x - h * along)) / h**2
                assert own == pytest.approx(bent, rel=1e-3)

    def test_evidence_is_the_integral_in_one_dimension(self, kind):
        """By Laplace's method: to 2% here, and exact where the prior is firm."""
        contrast = Contrast(DRAWN, SHARES, 2.0, 5.0, M)
        narrow = LogisticLoss(COLUMNS[:, :1], OFFSETS, kind, contrast, weighted=False)
        one = LOG[[1]]
        for precision, tolerance in ((4.0, 0.02), (1e4, 1e-4)):
            prior = Prior(np.array([[0.3]]), precision)
            found = narrow.foretold(one, prior=prior, regularization=RIDGE)[0]
            whole, mean = precision + RIDGE, precision * 0.3 / (precision + RIDGE)

            def density(x, whole=whole, mean=mean):
                value = narrow._terms(one)(np.array([[x]]))[0][0]
                return np.exp(-value - whole * (x - mean) ** 2 / 2) * np.sqrt(whole / 2 / np.pi)

            width = 12 / np.sqrt(whole)
            exact = quad(density, mean - width, mean + width, epsabs=0, epsrel=1e-9, limit=200)[0]
            assert found == pytest.approx(np.log(exact), abs=tolerance * max(1, abs(np.log(exact))))


def test_weights_are_read_where_the_model_reads_them():
    plain, heavy = LOG.copy(), LOG.copy()
    plain.data[:], heavy.data[:] = 1, 3
    pull = {"prior": PRIOR, "regularization": RIDGE}
    deaf, told = make_loss("points", weighted=False), make_loss("points")
    assert np.array_equal(deaf.solve(plain, **pull), deaf.solve(heavy, **pull))
    assert not np.allclose(told.solve(plain, **pull), told.solve(heavy, **pull), atol=0.01)


def test_rows_without_a_finite_solution_are_an_error():
    columns = np.full_like(COLUMNS, 1e38)
    loss = LogisticLoss(columns, OFFSETS, "points", Contrast(DRAWN, SHARES))
    with pytest.raises(FitError, match="raise the regularization"):
        loss.solve(LOG, prior=None, regularization=0.0)


class TestSquared:
    def test_it_is_the_row_equation_of_als(self):
        model = PriorALS(F, regularization=RIDGE, alpha=3.0)
        model.item_factors = COLUMNS
        ours = SquaredLoss(COLUMNS, 3.0).solve(LOG, prior=PRIOR, regularization=RIDGE)
        assert np.array_equal(ours, model.fold_in(LOG, prior=PRIOR))

    def test_stiffness_is_the_diagonal_of_its_matrix(self):
        found, total = SquaredLoss(COLUMNS, 3.0).stiffness(
            COLUMNS[:N], LOG, prior=PRIOR, regularization=RIDGE
        )
        y, whole = COLUMNS.astype(float), np.zeros((F, F))
        for row in range(N):
            weights = np.ones(M)
            weights[LOG[row].indices] = 3.0 * LOG[row].data
            matrix = (y.T * weights) @ y + RIDGE * np.eye(F) + PRIOR.matrices()[row]
            np.testing.assert_allclose(found[row], np.diag(matrix), rtol=1e-5)
            whole += matrix
        np.testing.assert_allclose(total, whole, rtol=1e-5)

    def test_afresh_the_zeros_of_columns_that_were_counted_stay_in_the_prior(self):
        """Interactions with them are added, and take nothing away."""
        again = SquaredLoss(COLUMNS, 3.0).afresh(M - 5)
        rows = again.solve(LOG, prior=PRIOR, regularization=0.0)
        y, late = COLUMNS.astype(float), COLUMNS[M - 5 :].astype(float)
        row, own = 4, LOG[4].indices
        c = 3.0 * LOG[4].data
        new = own >= M - 5
        a = late.T @ late + (y[own].T * (c - new)) @ y[own] + PRIOR.matrices()[row]
        b = c @ y[own] + PRIOR.matrices()[row] @ PRIOR.mean[row]
        np.testing.assert_allclose(rows[row], np.linalg.solve(a, b), atol=1e-4)
