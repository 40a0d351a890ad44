"""Row solves: a dense float64 solve and a readable twin as oracles, for every form of prior."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart import equations, kernels, rows
from coldstart.equations import Equations
from coldstart.errors import FitError
from coldstart.kernels import BLOCK
from coldstart.prior import Prior
from coldstart.rows import gram_matrix, solve_rows

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

RIDGE = 3.0
ROUNDING = 3e-7  # two refined rows, each within 1e-7, rounded to float32
FORMS = ["none", "scalar", "rows", "cells", "columns", "shared", "shared-rows", "everybody"]
SHAPES = [(19, 31, 6), (6, 31, 6), (1, 31, 6), (7, 5, 1), (140, 60, 257)]  # rows, columns, width


def make_prior(form: str, n: int, d: int) -> Prior | None:
    return None if form == "none" else given_prior(form, n, d)


def given_prior(form: str, n: int, d: int) -> Prior:
    rng = np.random.default_rng(5)
    mean, spread = rng.normal(size=(n, d)), rng.normal(size=(d, d + 2))
    shared = spread @ spread.T / d
    match form:
        case "scalar":
            return Prior(mean, 4.0)
        case "rows":
            return Prior(mean, rng.uniform(1, 9, n))
        case "cells":
            return Prior(mean, rng.uniform(1, 9, (n, d)))
        case "columns":
            return Prior(mean, rng.uniform(1, 9, (1, d)))
        case "shared":
            return Prior(mean, 2.0, shared=shared)
        case "shared-rows":
            return Prior(mean, rng.uniform(1, 9, n), shared=shared)
        case _:
            return Prior(mean[:1], 4.0)


def make_rows(n: int, m: int) -> sp.csr_matrix:
    """Confidences, some of them dislikes; every fourth row is empty, unless there is only one."""
    rng = np.random.default_rng(6)
    seen = rng.random((n, m)) < 0.4
    seen[3::4] = False
    values = rng.uniform(2, 20, (n, m)) * rng.choice([1, 1, 1, -1], (n, m))
    return sp.csr_matrix((seen * values).astype(np.float32))


def make_short_rows(n: int, m: int) -> sp.csr_matrix:
    """Up to six confidences per row, some below 1, some dislikes."""
    rng = np.random.default_rng(10)
    columns = np.concatenate([rng.choice(m, u % 7, replace=False) for u in range(n)])
    indptr = np.concatenate([[0], np.cumsum(np.arange(n) % 7)])
    values = rng.uniform(0.1, 20, len(columns)) * rng.choice([1, 1, 1, -1], len(columns))
    return sp.csr_matrix((values.astype(np.float32), columns, indptr), shape=(n, m))


def make_factors(m: int, d: int) -> Floats:
    return np.random.default_rng(7).normal(size=(m, d)).astype(np.float32)


def row_equation(
    confidence: Array, other: Floats, prior: Prior | None, u: int, ridge: float = RIDGE
) -> tuple[Array, Array]:
    """Matrix and right-hand side of row u, term by term."""
    y = other.astype(np.float64)
    d = y.shape[1]
    c = confidence[u].astype(np.float64)
    a = y.T @ (np.where(c == 0, 1, np.abs(c))[:, None] * y) + ridge * np.eye(d)
    b = y.T @ np.maximum(c, 0)
    if prior is not None:
        row = 0 if len(prior) == 1 else u
        cells = np.broadcast_to(prior.precision.T, (d, len(prior))).T[row]  # (d,)
        pull = np.diag(cells) if prior.shared is None else cells[:, None] * prior.shared
        a, b = a + pull, b + pull @ prior.mean[row]
    return a, b


def dense_solution(
    confidence: sp.csr_matrix, other: Floats, prior: Prior | None, ridge: float = RIDGE
) -> Array:
    dense = confidence.toarray()
    equations = [row_equation(dense, other, prior, u, ridge) for u in range(len(dense))]
    rows = [np.linalg.solve(a, b) for a, b in equations]
    for u in np.flatnonzero(np.diff(confidence.indptr) == 0):
        rows[u] = 0 * rows[u] if prior is None else prior.mean[0 if len(prior) == 1 else u]
    return np.array(rows)


def conjugate_gradients(a: Array, b: Array, x: Array, steps: int) -> Array:
    """The readable twin of `cg_rows`, for one row, in float64."""
    r = b - a @ x
    p = r
    for _ in range(steps):
        if r @ r < 1e-20:
            break
        step = r @ r / (p @ a @ p)
        x = x + step * p
        new = r - step * a @ p
        p = new + (new @ new) / (r @ r) * p
        r = new
    return x


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_every_row_solves_its_normal_equations(form: str, n: int, m: int, d: int) -> None:
    confidence, other, prior = make_rows(n, m), make_factors(m, d), make_prior(form, n, d)
    expected = dense_solution(confidence, other, prior)
    exact = solve_rows(confidence, other, regularization=RIDGE, prior=prior)
    # float32 keeps 6e-8 of a number
    np.testing.assert_allclose(exact, expected, rtol=2e-7, atol=2e-7 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("n", "m", "d"), SHAPES[:-1])  # the last needs hundreds of steps
def test_conjugate_gradients_end_where_the_exact_solver_does(
    form: str, n: int, m: int, d: int
) -> None:
    confidence, other, prior = make_rows(n, m), make_factors(m, d), make_prior(form, n, d)
    expected = dense_solution(confidence, other, prior)
    rows = solve_rows(
        confidence, other, regularization=RIDGE, prior=prior, solver="cg", cg_steps=30
    )
    # float32 throughout, condition numbers up to 30
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(("n", "m", "d"), [(18, 31, 6), (140, 60, 1), (18, 400, 257)])
def test_a_few_conjugate_gradient_steps_are_those_of_the_readable_twin(
    form: str, steps: int, n: int, m: int, d: int
) -> None:
    confidence, other, prior = make_rows(n, m), make_factors(m, d), make_prior(form, n, d)
    start = np.random.default_rng(8).normal(size=(n, d)).astype(np.float32)
    rows = solve_rows(
        confidence,
        other,
        regularization=RIDGE,
        prior=prior,
        start=start,
        solver="cg",
        cg_steps=steps,
    )
    dense = confidence.toarray()
    for u in np.flatnonzero(np.diff(confidence.indptr)):
        a, b = row_equation(dense, other, prior, int(u))
        expected = conjugate_gradients(a, b, start[u].astype(np.float64), steps)
        np.testing.assert_allclose(rows[u], expected, rtol=0, atol=1e-5)  # float32, values near 1


def test_long_rows_are_gathered_in_several_pieces() -> None:
    m, d = equations.GATHERED + 90, 4
    lengths = [m, equations.GATHERED, kernels.LONG, kernels.LONG + 1, kernels.LONG - 1, 15]
    values = np.random.default_rng(9).uniform(-3, 9, (len(lengths), m)).astype(np.float32)
    confidence = sp.csr_matrix(np.where(np.arange(m) < np.array(lengths)[:, None], values, 0))
    other = make_factors(m, d)
    exact = solve_rows(confidence, other, regularization=RIDGE)
    expected = dense_solution(confidence, other, None)
    np.testing.assert_allclose(exact, expected, rtol=2e-7, atol=2e-7 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("d", [1, 16, 64, 257])
def test_rows_with_few_interactions_are_solved_alike_in_their_shared_basis(
    form: str, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, m = 90, 60
    confidence, other, prior = make_short_rows(n, m), make_factors(m, d), make_prior(form, n, d)
    expected = dense_solution(confidence, other, prior)
    for strong in (equations.STRONG, 0.0):  # in the shared basis, and each alone
        monkeypatch.setattr(equations, "STRONG", strong)
        exact = solve_rows(confidence, other, regularization=RIDGE, prior=prior)
        # float32 keeps 6e-8 of a number
        np.testing.assert_allclose(exact, expected, rtol=2e-7, atol=2e-7 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
def test_equations_too_hard_to_refine_are_factorised(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, m, d = 60, 40, 64
    confidence, other, prior = 500_000 * make_rows(n, m), make_factors(m, d), make_prior(form, n, d)
    factorised: list[int] = []
    factorise = Equations._factorise

    def heard(self: Equations, out: Floats, which: NDArray[np.intp]) -> None:
        factorised.extend(which)
        factorise(self, out, which)

    monkeypatch.setattr(Equations, "_factorise", heard)
    exact = solve_rows(confidence, other, regularization=RIDGE, prior=prior)
    expected = dense_solution(confidence, other, prior)
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert factorised


@pytest.mark.parametrize("seed", range(8))
def test_there_is_no_shared_basis_without_enough_factors_of_the_other_side(seed: int) -> None:
    n, m, d = 70, 15, 16  # one factor short: rounding alone decides whether Cholesky notices
    other = np.random.default_rng(seed).normal(size=(m, d)).astype(np.float32)
    confidence, prior = make_short_rows(n, m), given_prior("shared-rows", n, d)
    exact = solve_rows(confidence, other, regularization=0.0, prior=prior)
    expected = dense_solution(confidence, other, prior, ridge=0.0)
    np.testing.assert_allclose(exact, expected, rtol=2e-7, atol=2e-7 * np.abs(expected).max())


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "none"] + ["zero-shared"])
def test_zero_precision_is_no_prior_bit_for_bit(solver: str, form: str) -> None:
    if form == "zero-shared":
        prior = Prior(np.ones((19, 6)), 5.0, shared=np.zeros((6, 6)))
    else:
        prior = given_prior(form, 19, 6).temper(0.0)
    confidence, other = make_rows(19, 31), make_factors(31, 6)
    start = np.ones((19, 6), np.float32)
    plain, pulled = (
        solve_rows(confidence, other, regularization=2.0, prior=p, start=start, solver=solver)
        for p in (None, prior)
    )
    np.testing.assert_array_equal(pulled, plain)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("form", ["scalar", "rows", "cells", "columns", "shared", "shared-rows"])
@pytest.mark.parametrize("strength", [1e12, 1e30])
def test_precision_to_infinity_is_the_prior_mean(solver: str, form: str, strength: float) -> None:
    prior = given_prior(form, 19, 6)
    rows = solve_rows(
        make_rows(19, 31),
        make_factors(31, 6),
        regularization=RIDGE,
        prior=prior.temper(strength),
        solver=solver,
        cg_steps=12,
    )
    # float32: 1e-6 of values near 1, times the condition number of the precision where CG solves
    tolerance = 1e-6 if solver == "cholesky" else 3e-4
    np.testing.assert_allclose(rows, prior.mean, rtol=0, atol=tolerance)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_rows_without_interactions_are_their_mean_where_it_is_known(solver: str) -> None:
    nothing, other = sp.csr_matrix((3, 31), dtype=np.float32), make_factors(31, 2)
    mean = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    start = np.full((3, 2), 9.0)

    def solve(prior: Prior | None) -> Any:
        return solve_rows(
            nothing, other, regularization=1.0, prior=prior, start=start, solver=solver
        ).tolist()

    assert solve(None) == [[0, 0]] * 3
    assert solve(Prior(mean, [1.0, 0.0, 1e-9])) == [[1, 2], [0, 0], [5, 6]]
    assert solve(Prior(mean, [[1.0, 0.0]])) == [[1, 0], [3, 0], [5, 0]]
    assert solve(Prior(mean, shared=[[0.0, 0.0], [0.0, 1.0]])) == [[0, 2], [0, 4], [0, 6]]
    assert solve(Prior(mean[:1], 7.0)) == [[1, 2]] * 3


def assert_same_rows(rows: Floats, expected: Floats, tolerance: float) -> None:
    """Errors as a share of each row: BLAS may sum up the rows of one product in various orders."""
    errors = np.linalg.norm(rows - expected, axis=1)
    assert (errors <= tolerance * np.linalg.norm(expected, axis=1)).all(), errors.max()


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize(("m", "d"), [(31, 6), (300, 1), (300, 64), (300, 257)])
def test_rows_depend_neither_on_the_number_of_threads_nor_beyond_rounding_on_each_other(
    solver: str, m: int, d: int
) -> None:
    n = 2 * BLOCK + 45
    confidence, other, prior = make_rows(n, m), make_factors(m, d), given_prior("shared-rows", n, d)

    def solve(rows: slice, num_threads: int) -> Floats:
        part = prior.take(np.arange(n)[rows])
        return solve_rows(
            confidence[rows],
            other,
            regularization=RIDGE,
            prior=part,
            solver=solver,
            num_threads=num_threads,
        )

    alone = solve(slice(None), 1)
    for num_threads in (0, 2, 3):
        np.testing.assert_array_equal(solve(slice(None), num_threads), alone)
    for part in (slice(100, 190), slice(100, 101), slice(n - 1, n)):
        assert_same_rows(solve(part, 2), alone[part], 1e-6 if solver == "cg" else ROUNDING)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("d", [1, 17, 64])
def test_a_row_alone_is_that_of_its_batch_but_for_rounding(form: str, d: int) -> None:
    n, m = 40, 90
    confidence, other, prior = make_rows(n, m), make_factors(m, d), make_prior(form, n, d)
    if prior is not None and prior.precision.shape[:1] == (n,):
        strengths = np.arange(n) % 5  # every fifth row is without a prior
        precision = (prior.precision.T * strengths).T
        prior = Prior(prior.mean, precision, shared=prior.shared)
    together = solve_rows(confidence, other, regularization=RIDGE, prior=prior)
    for u in range(n):
        part = prior if prior is None or len(prior) == 1 else prior.take([u])
        alone = solve_rows(confidence[u], other, regularization=RIDGE, prior=part)
        assert_same_rows(alone, together[[u]], ROUNDING)
        if prior is not None and not np.any(part.precision):
            plain = solve_rows(confidence[u], other, regularization=RIDGE)
            np.testing.assert_array_equal(alone, plain)


@pytest.mark.parametrize("alpha", [1e-30, 1e-23, 1e-10, 1.0, 1e10, 1e20, 1e30])
def test_confidences_of_any_size_neither_overflow_nor_vanish(alpha: float) -> None:
    seen, other = sp.csr_matrix(np.eye(1, 3, dtype=np.float32)), np.eye(3, 2, dtype=np.float32)
    rows = solve_rows(seen, other, alpha=alpha, regularization=1.0)
    np.testing.assert_allclose(rows, [[alpha / (alpha + 1), 0]], rtol=2e-7, atol=0)


@pytest.mark.parametrize("strength", [1e-30, 1.0, 1e6])
@pytest.mark.parametrize("size", [1e-30, 1e-17, 1.0, 1e17, 1e30])
def test_means_of_any_size_neither_overflow_nor_vanish(strength: float, size: float) -> None:
    seen, other = sp.csr_matrix(np.eye(1, 3, dtype=np.float32)), np.eye(3, 2, dtype=np.float32)
    prior = Prior([[size, size]], strength)
    rows = solve_rows(seen, other, alpha=1.0, regularization=1.0, prior=prior)
    a, b = row_equation(seen.toarray(), other, prior, 0, ridge=1.0)
    np.testing.assert_allclose(rows[0], np.linalg.solve(a, b), rtol=2e-7, atol=1e-37)


def test_inputs_are_left_alone_and_may_be_read_only_or_of_another_layout() -> None:
    confidence, other = make_rows(19, 31), make_factors(31, 6)
    start = np.ones((19, 6), np.float32)
    expected = solve_rows(confidence, other, regularization=RIDGE, start=start, solver="cg")
    read_only = other.copy()
    read_only.flags.writeable = False
    layouts: list[Any] = [read_only, np.asfortranarray(other), other.astype(np.float64)]
    for same in layouts:
        rows = solve_rows(confidence, same, regularization=RIDGE, start=start, solver="cg")
        np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(start, 1)
    np.testing.assert_array_equal(other, make_factors(31, 6))


def test_a_gram_matrix_at_hand_gives_the_same_rows() -> None:
    confidence, other = make_rows(19, 31), make_factors(31, 6)
    gram = gram_matrix(other)
    before = gram.copy()
    rows = solve_rows(confidence, other, regularization=RIDGE, gram=gram)
    np.testing.assert_array_equal(rows, solve_rows(confidence, other, regularization=RIDGE))
    np.testing.assert_array_equal(gram, before)


def test_the_gram_matrix_is_summed_over_blocks_in_float64() -> None:
    factors = make_factors(9000, 3)
    exact = factors.T.astype(np.float64) @ factors.astype(np.float64)
    np.testing.assert_allclose(gram_matrix(factors), exact, rtol=1e-12, atol=1e-9)


def test_an_equation_without_a_solution_is_an_error() -> None:
    confidence = sp.csr_matrix(np.full((4, 3), 5.0, np.float32))
    flat = np.ones((3, 2), np.float32) * np.array([1, 0], np.float32)
    with pytest.raises(FitError, match="rows have no finite solution: raise the regularization"):
        solve_rows(confidence, flat, regularization=0.0)
    flat[1, 1] = np.nan
    for solver in ("cholesky", "cg"):
        with pytest.raises(FitError, match="people have no finite solution"):
            solve_rows(confidence, flat, regularization=1.0, solver=solver, what="people")


def test_a_matrix_or_start_of_another_shape_is_named() -> None:
    other = make_factors(31, 6)
    with pytest.raises(ValueError, match="has 30 columns but the other side has 31 rows"):
        solve_rows(make_rows(19, 30), other, regularization=1.0)
    with pytest.raises(ValueError, match=r"start must be \(19, 6\), got \(18, 6\)"):
        solve_rows(make_rows(19, 31), other, regularization=1.0, start=np.ones((18, 6)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((19, 5), "the prior is 5 wide but the factors are 6 wide"),
        ((18, 6), "the prior has 18 rows but the matrix has 19: give one for each, or one"),
    ],
)
def test_a_prior_that_does_not_fit_is_named(shape: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve_rows(
            make_rows(19, 31), make_factors(31, 6), regularization=1.0, prior=Prior(np.ones(shape))
        )


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_one_very_long_row_among_short_ones(solver: str) -> None:
    n, m, d = 40, 20_000, 16
    rng = np.random.default_rng(11)
    columns = [np.arange(m) if u == 7 else np.sort(rng.choice(m, 3, False)) for u in range(n)]
    indptr = np.cumsum([0, *map(len, columns)])
    values = rng.uniform(1, 4, indptr[-1]).astype(np.float32)
    confidence = sp.csr_matrix((values, np.concatenate(columns), indptr), shape=(n, m))
    other, prior = make_factors(m, d), given_prior("rows", n, d)
    rows = solve_rows(
        confidence, other, regularization=RIDGE, prior=prior, solver=solver, cg_steps=30
    )
    expected = dense_solution(confidence, other, prior)
    tolerance = 2e-7 if solver == "cholesky" else 1e-5  # float32 keeps 6e-8 of a number
    np.testing.assert_allclose(rows, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("d", [1, 16, 64])
def test_the_exact_solver_adds_up_the_posterior_covariances(form: str, d: int) -> None:
    n, m = 320, 3 * kernels.GATHER
    confidence = sp.vstack([make_short_rows(300, m), make_rows(20, m)]).tocsr()
    other, prior = make_factors(m, d), make_prior(form, n, d)

    def solve(num_threads: int) -> tuple[Floats, Array]:
        out, total = np.zeros((n, d), np.float32), np.zeros((d, d))
        rows.solve_into(
            out,
            confidence,
            other,
            regularization=RIDGE,
            prior=prior,
            num_threads=num_threads,
            covariance=total,
        )
        return out, total

    out, total = solve(1)
    dense = confidence.toarray()
    expected = sum(
        np.linalg.inv(row_equation(dense, other, prior, int(u))[0])
        for u in np.flatnonzero(np.diff(confidence.indptr))
    )
    # float32, whose rounding adds up over the factors, and in a basis where all matrices are near 1
    tolerance = 1e-9 if form == "cells" else 2e-7
    np.testing.assert_allclose(total, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    plain = solve_rows(confidence, other, regularization=RIDGE, prior=prior)
    np.testing.assert_array_equal(out, plain)
    np.testing.assert_array_equal(solve(2)[1], total)


def test_covariances_keep_their_digits_where_confidences_are_huge() -> None:
    n, m, d = 60, 90, 16
    confidence, other, total = make_rows(n, m), make_factors(m, d), np.zeros((d, d))
    confidence.data *= 10.0 ** np.random.default_rng(1).uniform(0, 6, confidence.nnz)
    rows.solve_into(
        np.zeros((n, d), np.float32), confidence, other, regularization=RIDGE, covariance=total
    )
    dense = confidence.toarray()
    expected = sum(
        np.linalg.inv(row_equation(dense, other, None, int(u))[0])
        for u in np.flatnonzero(np.diff(confidence.indptr))
    )
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert np.linalg.norm(total - total.T) <= 1e-12 * np.linalg.norm(total)


@pytest.mark.parametrize("seed", range(5))
def test_precisions_over_eight_decades_are_judged_by_their_weakest_direction(seed: int) -> None:
    n, m, d, ridge = 100, 22, 33, 0.01  # fewer rows than factors: that ridge alone holds some
    rng = np.random.default_rng(seed)
    other = rng.standard_normal((m, d)).astype(np.float32)
    seen = sp.random(n, m, 0.1, "csr", np.float32, random_state=seed)
    seen.data[:] = 2
    strengths = 10.0 ** rng.uniform(-5, 3, (n, d)) * (rng.random((n, d)) < 0.6)
    prior = Prior(rng.standard_normal((n, d)), strengths)
    found = solve_rows(seen, other, regularization=ridge, prior=prior)
    busy = np.diff(seen.indptr) > 0
    expected = dense_solution(seen, other, prior, ridge=ridge)
    assert_same_rows(found[busy], expected[busy], 1e-6)


@pytest.mark.parametrize("d", [16, 64, 257])
def test_columns_kept_in_the_shared_basis_change_nothing_but_rounding(
    d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, m = 300, 60
    confidence, other, prior = make_short_rows(n, m), make_factors(m, d), given_prior("rows", n, d)
    expected = solve_rows(confidence, other, regularization=RIDGE, prior=prior)
    for kept in (0.0, 0.01, 10.0):  # none, some, all
        monkeypatch.setattr(equations, "KEPT", kept)
        exact = solve_rows(confidence, other, regularization=RIDGE, prior=prior)
        assert_same_rows(exact, expected, ROUNDING)


PROGRAM = """
import hashlib, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np, scipy.sparse as sp
from coldstart import Prior, PriorALS
from coldstart.ranking import recommend_rows

log = sp.random(700, 400, density=0.05, format="csr", random_state=0, dtype=np.float32)
prior = Prior(np.full((700, 16), 0.1), np.linspace(1, 9, 700))

def work(_):
    model = PriorALS(16, iterations=3, rng=0, num_threads=int(sys.argv[1]))
    model.fit(log, user_prior=prior, show_progress=False)
    columns, values = recommend_rows(model.user_factors, model.item_factors, 9, seen=log)
    parts = model.user_factors, model.item_factors, columns, values
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

with ThreadPoolExecutor(4) as pool:
    print(*set(pool.map(work, range(8))))
"""


def test_under_any_threading_layer_concurrent_calls_give_the_same_bits() -> None:
    seen = set()
    for layer, num_threads in (("default", "1"), ("workqueue", "2"), ("workqueue", "0")):
        environment = {**os.environ, "NUMBA_THREADING_LAYER": layer}
        command = [sys.executable, "-c", PROGRAM, num_threads]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen |= set(done.stdout.split())
    assert len(seen) == 1
