"""Prior: its forms, what shrinks and scales it, and chains and fusions against dense algebra."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coldstart.prior import Prior

Array = NDArray[Any]

N, D, D_NEW = 7, 4, 3
FORMS = ["scalar", "rows", "cells", "columns", "shared", "shared-rows"]


def positive(d: int, seed: int) -> Array:
    half = np.random.default_rng(seed).normal(size=(d, d + 2))
    return np.asarray(half @ half.T / d)


def make_prior(form: str, n: int = N, d: int = D, seed: int = 0) -> Prior:
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, d))
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
            return Prior(mean, 2.0, shared=positive(d, seed))
        case _:
            return Prior(mean, rng.uniform(1, 9, n), shared=positive(d, seed))


def dense_precision(prior: Prior) -> Array:
    """(n, d, d), row by row as the docstring says it."""
    cells = np.broadcast_to(prior.precision.T, (prior.width, len(prior))).T  # (n, d)
    if prior.shared is not None:
        return cells[:, :, None] * prior.shared
    return np.array([np.diag(row) for row in cells], dtype=np.float64)


def traces(matrices: Array) -> Array:
    return np.asarray(np.trace(matrices, axis1=1, axis2=2))


def assert_projected(covariances: Array, expected: Array) -> None:
    """Covariances have the traces of the expected ones, and one shape that fits all of them.

    These random priors differ in shape from row to row far more than those of one adapter do:
    up to 0.22 of their norm on average, which is the error of the projection.
    """
    np.testing.assert_allclose(traces(covariances), traces(expected), rtol=1e-10)
    errors = np.linalg.norm(covariances - expected, axis=(1, 2))
    assert (errors / np.linalg.norm(expected, axis=(1, 2))).mean() < 0.25
    round_ones = traces(expected)[:, None, None] * np.eye(expected.shape[1]) / expected.shape[1]
    assert errors.mean() < np.linalg.norm(round_ones - expected, axis=(1, 2)).mean()


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- forms


@pytest.mark.parametrize(("n", "d"), [(7, 4), (4, 4), (1, 4), (3, 1)])
def test_matrices_and_parts_spell_out_every_form(form: str, n: int, d: int) -> None:
    prior = make_prior(form, n, d)
    expected = dense_precision(prior)
    np.testing.assert_allclose(prior.matrices(), expected, rtol=1e-15)
    np.testing.assert_allclose(prior.matrices(slice(1, 3)), expected[1:3], rtol=1e-15)
    row, spread, shared = prior.parts()
    shared = shared if shared.size else np.zeros((d, d))
    spelt = [np.diag(s) for s in np.broadcast_to(spread, (n, d))] + shared
    np.testing.assert_allclose(np.broadcast_to(row, n)[:, None, None] * spelt, expected, rtol=1e-15)


def test_one_dimension_is_per_row_even_where_rows_and_dimensions_are_as_many() -> None:
    prior = Prior(np.zeros((2, 2)), [1.0, 5.0])
    assert prior.matrices().tolist() == [[[1, 0], [0, 1]], [[5, 0], [0, 5]]]
    assert Prior(np.zeros((2, 2)), [[1.0, 5.0]]).matrices()[1].tolist() == [[1, 0], [0, 5]]


def test_length_width_and_repr_say_what_there_is() -> None:
    prior = make_prior("rows")
    assert (len(prior), prior.width) == (N, D)
    assert repr(prior) == "Prior(7 rows x 4, precision shape (7,))"
    assert repr(make_prior("shared")) == "Prior(7 rows x 4, precision shared (d, d))"


def test_arrays_are_copied_and_frozen_also_after_pickling(form: str) -> None:
    given = make_prior(form)
    mean, precision = given.mean.copy(), given.precision.copy()
    prior = Prior(mean, precision, shared=given.shared, origin=np.ones(D))
    mean[:], precision[...] = 9.0, 9.0
    for same in (prior, pickle.loads(pickle.dumps(prior))):
        np.testing.assert_array_equal(same.mean, given.mean)
        np.testing.assert_array_equal(same.precision, given.precision)
        np.testing.assert_array_equal(same.shared, given.shared)
        np.testing.assert_array_equal(same.origin, 1)
        for name in ("mean", "precision", "shared", "origin"):
            array = getattr(same, name)
            assert array is None or not array.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        prior.mean = mean  # type: ignore[misc]


def test_float32_means_stay_float32_and_integers_become_floats() -> None:
    prior = Prior(np.ones((2, 3), np.float32), 2)
    assert prior.mean.dtype == np.float32
    assert prior.centre(0.3).mean.dtype == np.float32
    assert Prior([[1, 2], [3, 4]]).mean.dtype == np.float64


def test_slightly_asymmetric_shared_matrices_are_made_symmetric() -> None:
    shared = positive(D, 3)
    shared[0, 1] *= 1 + 1e-7
    prior = Prior(np.zeros((N, D)), shared=shared)
    assert prior.shared is not None
    np.testing.assert_array_equal(prior.shared, prior.shared.T)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": np.ones(D)}, r"mean must be \(n, d\), got an array of shape \(4,\)"),
        ({"mean": np.full((N, D), np.nan)}, "mean must be finite, got 28 NaN or inf"),
        ({"mean": [["a", "b"]]}, "mean must be numbers, got dtype <U1"),
        ({"mean": np.ones((N, D), bool)}, "mean must be numbers, got dtype bool"),
        ({"precision": np.ones(D)}, r"scalar or of shape \(7,\), \(7, 4\) or \(1, 4\)"),
        ({"precision": np.ones((N, 1))}, r"to fit a mean of shape \(7, 4\), got \(7, 1\)"),
        ({"precision": -0.5}, "precision must not be negative, got -0.5"),
        ({"precision": np.inf}, "precision must be finite, got 1 NaN or inf"),
        ({"shared": np.eye(N)}, r"shared must be of shape \(4, 4\), got \(7, 7\)"),
        ({"shared": np.triu(np.ones((D, D)))}, "shared must be symmetric"),
        ({"shared": -np.eye(D)}, "must be positive semi-definite, it has a negative eigenvalue"),
        ({"shared": np.full((D, D), np.nan)}, "shared must be finite"),
        (
            {"shared": np.eye(D), "precision": np.ones((N, D))},
            r"with a shared matrix, precision must be a scalar or \(n,\), got \(7, 4\)",
        ),
        ({"origin": np.ones(N)}, r"origin must be of shape \(4,\), got \(7,\)"),
    ],
)
def test_what_is_no_prior_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prior(**{"mean": np.ones((N, D)), **arguments})


# --- rows


@pytest.mark.parametrize(
    "rows",
    [[5, 0, 5], np.arange(N) % 2 == 0, np.array([], dtype=int), [-1]],
    ids=["numbers", "mask", "none", "last"],
)
def test_taking_rows_takes_means_and_precisions(form: str, rows: Any) -> None:
    prior = make_prior(form)
    taken = prior.take(rows)
    np.testing.assert_array_equal(taken.mean, prior.mean[rows])
    np.testing.assert_array_equal(taken.matrices(), prior.matrices()[rows])


@pytest.mark.parametrize("n", [1, D])
def test_taking_from_a_square_or_single_prior_knows_what_is_a_row(form: str, n: int) -> None:
    prior = make_prior(form, n)
    rows = [n - 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(prior.take(rows).matrices(), prior.matrices()[rows])


def test_padding_appends_rows_of_which_nothing_is_known(form: str) -> None:
    prior = make_prior(form)
    padded = prior.pad(N + 3)
    np.testing.assert_array_equal(padded.take(np.arange(N)).mean, prior.mean)
    np.testing.assert_array_equal(padded.matrices()[:N], prior.matrices())
    assert not padded.matrices()[N:].any()
    assert padded.take([N + 2]).mean.shape == (1, D)
    assert prior.pad(2) is prior


def test_padding_with_a_mean_appends_rows_of_average_precision(form: str) -> None:
    prior = make_prior(form)
    padded = prior.pad(N + 2, mean=np.arange(D))
    np.testing.assert_array_equal(padded.mean[N:], [np.arange(D)] * 2)
    average = prior.matrices().mean(axis=0)
    np.testing.assert_allclose(padded.matrices()[N:], [average] * 2, rtol=1e-14)


# --- the two knobs


def test_centring_moves_means_toward_the_origin(form: str) -> None:
    prior = make_prior(form)
    middle = prior.mean.mean(axis=0)
    np.testing.assert_allclose(prior.centre(0).mean, np.tile(middle, (N, 1)), rtol=1e-14)
    np.testing.assert_allclose(prior.centre(1).mean, prior.mean, rtol=1e-14)
    half = prior.centre(0.5, np.ones(D))
    np.testing.assert_allclose(half.mean, (prior.mean + 1) / 2, rtol=1e-14)
    np.testing.assert_array_equal(half.matrices(), prior.matrices())


def test_a_prior_has_an_origin_of_its_own_and_keeps_it() -> None:
    prior = Prior(np.zeros((N, D)), origin=np.full(D, 2.0))
    np.testing.assert_array_equal(prior.centre(0).mean, 2)
    for changed in (prior.take([1, 2]), prior.pad(9), prior.temper(3), prior.fuse(prior)):
        np.testing.assert_array_equal(changed.origin, 2)
    moved = prior.centre(0.5, np.full(D, 6.0))
    np.testing.assert_array_equal(moved.centre(0).mean, 6)


def test_centring_twice_is_centring_by_the_product() -> None:
    prior = make_prior("cells")
    twice = prior.centre(0.5).centre(0.3)
    np.testing.assert_allclose(twice.mean, prior.centre(0.15).mean, rtol=1e-13, atol=1e-15)


def test_rows_may_be_centred_by_weights_of_their_own() -> None:
    prior = make_prior("shared-rows", D)  # as many rows as dimensions
    weights = np.array([0.0, 0.2, 0.7, 1.0])
    centred = prior.centre(weights)
    for row, weight in enumerate(weights):
        np.testing.assert_allclose(centred.mean[row], prior.centre(weight).mean[row], rtol=1e-14)


def test_tempering_multiplies_the_precision(form: str) -> None:
    prior = make_prior(form, D)  # as many rows as dimensions
    np.testing.assert_allclose(prior.temper(0.3).matrices(), 0.3 * prior.matrices(), rtol=1e-14)
    factors = np.arange(4.0)
    tempered = prior.temper(factors)
    expected = factors[:, None, None] * prior.matrices()
    np.testing.assert_allclose(tempered.matrices(), expected, rtol=1e-14)
    np.testing.assert_array_equal(tempered.mean, prior.mean)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (-1.0, "precision must not be negative"),
        (np.ones(D), r"factor must be of shape \(7,\), got \(4,\)"),
        (np.ones((N, D)), r"factor must be of shape \(7,\), got \(7, 4\)"),
        (np.nan, "factor must be finite"),
    ],
)
def test_factors_that_do_not_fit_are_named(form: str, factor: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_prior(form).temper(factor)


# --- chains


def make_map() -> tuple[Array, Array, Array]:
    """Weights (1 + D, D_NEW), their spread, and the residual."""
    weights = np.random.default_rng(8).normal(size=(1 + D, D_NEW))
    return weights, 0.1 * positive(1 + D, 9), positive(D_NEW, 10)


def pushed_covariances(prior: Prior, weights: Array, spread: Array, residual: Array) -> Array:
    """The equation of the docstring, row by row."""
    covariances = []
    for mean, precision in zip(prior.mean, dense_precision(prior), strict=True):
        p, m = np.linalg.inv(precision), np.append(1, mean)
        uncertain = 1 + m @ spread @ m + np.trace(spread[1:, 1:] @ p)
        covariances.append(weights[1:].T @ p @ weights[1:] + uncertain * residual)
    return np.array(covariances)


def test_composing_is_dense_algebra_projected_with_matched_traces(form: str) -> None:
    prior, (weights, spread, residual) = make_prior(form), make_map()
    composed = prior.compose(weights, spread=spread, residual=residual)
    expected = pushed_covariances(prior, weights, spread, residual)
    covariances = np.linalg.inv(composed.matrices())
    np.testing.assert_allclose(
        composed.mean, weights[0] + prior.mean @ weights[1:], rtol=1e-13, atol=1e-14
    )
    assert_projected(covariances, expected)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "cells"])
def test_composing_is_exact_where_the_map_is_certain(form: str) -> None:
    prior, (weights, spread, residual) = make_prior(form), make_map()
    expected = pushed_covariances(prior, weights, 0 * spread, 0 * residual)
    covariances = np.linalg.inv(prior.compose(weights).matrices())
    np.testing.assert_allclose(covariances, expected, rtol=1e-9, atol=1e-9)


def test_composed_moments_are_those_of_random_maps_of_random_rows() -> None:
    prior, (weights, spread, residual) = make_prior("shared-rows", 2), make_map()
    composed = prior.compose(weights, spread=spread, residual=residual)
    rng, draws = np.random.default_rng(11), 200_000
    for row in range(len(prior)):
        covariance = np.linalg.inv(prior.matrices()[row])
        x = rng.multivariate_normal(prior.mean[row], covariance, size=draws)
        x = np.column_stack([np.ones(draws), x])
        # matrix-normal: x'(W + E) has covariance (x' spread x) residual around x'W
        noise = rng.multivariate_normal(np.zeros(D_NEW), residual, size=draws)
        size = np.sqrt(1 + np.einsum("ni,ij,nj->n", x, spread, x))
        y = x @ weights + size[:, None] * noise
        expected = np.trace(np.linalg.inv(composed.matrices()[row]))
        error = y.std(axis=0) / np.sqrt(draws)
        assert (np.abs(y.mean(axis=0) - composed.mean[row]) < 4 * error).all()
        # 200,000 draws give a variance to 0.3% per standard error, and sums of them to less
        assert np.trace(np.cov(y.T)) == pytest.approx(expected, rel=0.015)


def test_a_map_of_lower_rank_keeps_a_finite_precision() -> None:
    weights = np.random.default_rng(12).normal(size=(1 + D, D + 2))
    composed = make_prior("rows").compose(weights)
    covariances = np.linalg.inv(composed.matrices())
    expected = pushed_covariances(
        make_prior("rows"), weights, np.zeros((1 + D, 1 + D)), np.zeros((D + 2, D + 2))
    )
    # directions that the map does not reach get 1e-10 of the largest variance, which is inverted
    np.testing.assert_allclose(covariances, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def zeroed(prior: Prior, rows: list[int]) -> Prior:
    return prior.temper(np.isin(np.arange(len(prior)), rows, invert=True).astype(float))


def test_rows_of_which_nothing_is_known_stay_so_when_composed(form: str) -> None:
    prior, (weights, spread, residual) = make_prior(form), make_map()
    composed = zeroed(prior, [1, 4]).compose(weights, spread=spread, residual=residual)
    assert not composed.matrices()[[1, 4]].any()
    rest = [0, 2, 3, 5, 6]
    alone = prior.take(rest).compose(weights, spread=spread, residual=residual)
    np.testing.assert_allclose(composed.matrices()[rest], alone.matrices(), rtol=1e-9)
    nobody = prior.temper(0).compose(weights, spread=spread, residual=residual)
    assert not nobody.matrices().any()


def test_a_row_not_known_in_every_dimension_is_not_known_when_composed() -> None:
    precision = np.ones((N, D))
    precision[2, 1] = 0
    composed = Prior(np.ones((N, D)), precision).compose(make_map()[0])
    assert composed.precision[2] == 0
    assert (np.delete(composed.precision, 2) > 0).all()
    flat = Prior(np.ones((N, D)), shared=np.diag([1.0, 1.0, 0.0, 1.0]))
    assert not flat.compose(make_map()[0]).matrices().any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.ones((D, D_NEW))}, r"weights must be \(1 \+ 4, d_new\), got \(4, 3\)"),
        ({"spread": np.eye(D)}, r"spread must be of shape \(5, 5\), got \(4, 4\)"),
        ({"residual": np.eye(D)}, r"residual must be of shape \(3, 3\), got \(4, 4\)"),
        ({"weights": np.zeros((1 + D, D_NEW))}, "leaves no variance: give it a residual"),
    ],
)
def test_maps_that_do_not_fit_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_prior("rows").compose(**{"weights": make_map()[0], **arguments})


# --- fusions


def fused_dense(priors: list[Prior]) -> tuple[Array, Array]:
    """Means and precisions of the product of Gaussians."""
    precisions = [dense_precision(prior) for prior in priors]
    total = np.sum(precisions, axis=0)
    weighted = sum(
        np.einsum("nij,nj->ni", p, prior.mean) for p, prior in zip(precisions, priors, strict=True)
    )
    return np.linalg.solve(total, np.asarray(weighted)[:, :, None])[:, :, 0], total


@pytest.mark.parametrize("other", FORMS)
def test_fusing_is_the_product_of_gaussians(form: str, other: str) -> None:
    priors = [make_prior(form), make_prior(other, seed=1), make_prior("columns", seed=2)]
    fused = priors[0].fuse(*priors[1:])
    mean, precision = fused_dense(priors)
    np.testing.assert_allclose(fused.mean, mean, rtol=1e-10, atol=1e-12)
    if "shared" not in form + other:
        np.testing.assert_allclose(fused.matrices(), precision, rtol=1e-13)
        return
    covariances, expected = np.linalg.inv(fused.matrices()), np.linalg.inv(precision)
    assert_projected(covariances, expected)


def test_fusing_priors_of_one_shared_matrix_is_exact() -> None:
    one = make_prior("shared-rows")
    two = Prior(one.mean + 1, 3.0, shared=one.shared)
    _, precision = fused_dense([one, two])
    np.testing.assert_allclose(one.fuse(two).matrices(), precision, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("other", ["rows", "cells", "shared-rows"])
def test_fusing_passes_over_a_prior_that_knows_nothing_of_a_row(form: str, other: str) -> None:
    one, two = zeroed(make_prior(form), [1, 4]), zeroed(make_prior(other, seed=1), [4, 6])
    fused = one.fuse(two)
    np.testing.assert_allclose(fused.mean[1], two.mean[1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fused.mean[6], one.mean[6], rtol=1e-9, atol=1e-12)
    for row, known in ((1, two), (6, one)):
        trace = np.trace(np.linalg.inv(fused.matrices()[row]))
        assert trace == pytest.approx(np.trace(np.linalg.inv(known.matrices()[row])), rel=1e-9)
    np.testing.assert_array_equal(fused.mean[4], 0)
    assert not fused.matrices()[4].any()
    assert not one.temper(0).fuse(two.temper(0)).matrices().any()


def test_what_no_prior_knows_of_a_dimension_stays_unknown() -> None:
    one = Prior(np.full((2, 3), 5.0), [[1.0, 0.0, 0.0]])
    two = Prior(np.full((2, 3), 8.0), [[2.0, 0.0, 4.0]])
    fused = one.fuse(two)
    assert fused.mean.tolist() == [[7.0, 0.0, 8.0]] * 2
    assert fused.precision.tolist() == [[3.0, 0.0, 4.0]] * 2
    half = Prior(np.ones((2, 3)), shared=np.diag([1.0, 0.0, 0.0]))
    assert not half.fuse(one).matrices().any()  # one shape for all rows cannot say it
    assert half.fuse(Prior(np.ones((2, 3)), [[0.0, 1.0, 1.0]])).matrices().any()


def test_fusing_many_rows_in_blocks_is_fusing_them_one_by_one() -> None:
    n = 1100
    one, two = make_prior("shared-rows", n), make_prior("scalar", n, seed=1)
    mean, precision = fused_dense([one, two])
    fused = one.fuse(two)
    np.testing.assert_allclose(fused.mean, mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        traces(np.linalg.inv(fused.matrices())), traces(np.linalg.inv(precision)), rtol=1e-10
    )


def test_priors_of_different_shapes_are_not_fused() -> None:
    with pytest.raises(ValueError, match=r"must have one shape, got \(7, 4\) and \(6, 4\)"):
        make_prior("rows").fuse(make_prior("rows", 6))
