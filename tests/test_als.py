"""PriorALS against implicit's ALS, and what a prior changes in every method."""

import copy
import pickle
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray

from coldstart import kernels
from coldstart.als import PriorALS
from coldstart.datasets import read_interactions
from coldstart.errors import ArtefactError, FitError
from coldstart.prior import Prior
from coldstart.rows import solve_rows
from coldstart.threads import one_blas_thread

Array = NDArray[Any]

N_USERS, N_ITEMS, D = 140, 90, 6
EMPTY_USER, EMPTY_ITEM = 3, 5
SOLVERS = ["cholesky", "cg"]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def make_log(*, dislikes: bool = False) -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 5, (N_USERS, N_ITEMS)) * (rng.random((N_USERS, N_ITEMS)) < 0.1)
    if dislikes:
        values = values * rng.choice([1, 1, -1], values.shape)
    values[EMPTY_USER] = 0
    values[:, EMPTY_ITEM] = 0
    return sp.csr_matrix(values.astype(np.float32))


def make_factors(n: int, d: int = D, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def make_prior(n: int, seed: int = 2) -> Prior:
    """A prior of its own strength for each row, with a shared matrix."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(D, 2 * D))
    return Prior(rng.normal(size=(n, D)), rng.uniform(5, 50, n), shared=spread @ spread.T / D)


def make_model(**settings: Any) -> PriorALS:
    return PriorALS(**{"factors": D, "iterations": 3, "alpha": 5.0, "rng": 3, **settings})


def implicit_model(model: PriorALS, *, start: tuple[Array, Array] | None = None) -> Any:
    """implicit's own model with the settings, and the same start or the same factors."""
    with one_blas_thread():
        twin = AlternatingLeastSquares(
            factors=model.factors,
            regularization=model.regularization,
            alpha=model.alpha,
            iterations=model.iterations,
            use_cg=model.solver == "cg",
            num_threads=1,
            random_state=model.rng,
        )
    if start is not None:
        twin.user_factors, twin.item_factors = start[0].copy(), start[1].copy()
    return twin


def fit_implicit(twin: Any, log: sp.csr_matrix) -> Any:
    with one_blas_thread():
        twin.fit(log, show_progress=False)
    return twin


def assert_near(model: PriorALS, twin: Any, tolerance: float) -> None:
    """The norm of the difference is at most `tolerance` of the norm, for both sides."""
    for name in ("user_factors", "item_factors"):
        ours, theirs = getattr(model, name), getattr(twin, name)
        assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


def assert_same(model: PriorALS, other: PriorALS) -> None:
    np.testing.assert_array_equal(model.user_factors, other.user_factors)
    np.testing.assert_array_equal(model.item_factors, other.item_factors)


@pytest.fixture(scope="module")
def log() -> sp.csr_matrix:
    return make_log()


@pytest.fixture(params=SOLVERS)
def solver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fitted(log: sp.csr_matrix) -> PriorALS:
    """With a prior on users, and on items."""
    priors = make_prior(N_USERS), make_prior(N_ITEMS, 4)
    return make_model().fit(log, user_prior=priors[0], item_prior=priors[1], show_progress=False)


# --- without a prior it is implicit's ALS


@pytest.mark.parametrize("dislikes", [False, True])
@pytest.mark.parametrize("scale", [0.001, 1.0, 100.0])
def test_one_exact_sweep_is_implicits_from_any_start(scale: float, dislikes: bool) -> None:
    log = make_log(dislikes=dislikes)
    start = scale * make_factors(N_USERS), scale * make_factors(N_ITEMS, seed=2)
    model = make_model(iterations=1, solver="cholesky")
    model.user_factors, model.item_factors = start
    model.fit(log, show_progress=False)
    assert_near(model, fit_implicit(implicit_model(model, start=start), log), 1e-4)


@pytest.mark.parametrize("dislikes", [False, True])
def test_one_sweep_of_conjugate_gradients_is_implicits_from_a_trained_state(
    dislikes: bool,
) -> None:
    log = make_log(dislikes=dislikes)
    twin = fit_implicit(implicit_model(make_model(iterations=3)), log)
    model = make_model(iterations=1)
    model.user_factors, model.item_factors = twin.user_factors, twin.item_factors
    twin.iterations = 1
    assert_near(model.fit(log, show_progress=False), fit_implicit(twin, log), 1e-4)


# conjugate gradients amplify rounding from implicit's tiny random start
@pytest.mark.parametrize(("solver", "tolerance"), [("cholesky", 1e-4), ("cg", 1e-2)])
def test_a_whole_default_fit_is_implicits_from_the_same_seed(
    log: sp.csr_matrix, solver: str, tolerance: float
) -> None:
    model = PriorALS(solver=solver, rng=7).fit(log, show_progress=False)
    assert model.user_factors.shape == (N_USERS, 64)
    assert_near(model, fit_implicit(implicit_model(model), log), tolerance)


def test_presetting_user_factors_changes_nothing_with_the_exact_solver(
    log: sp.csr_matrix,
) -> None:
    items = make_factors(N_ITEMS)
    fits = []
    for users in (make_factors(N_USERS), 0.01 * make_factors(N_USERS, seed=9)):
        model = make_model(solver="cholesky")
        model.user_factors, model.item_factors = users, items
        twin = fit_implicit(implicit_model(model, start=(users, items)), log)
        fits.append((twin, model.fit(log, show_progress=False)))
    for one, other in zip(*fits, strict=True):
        assert_near(one, other, 1e-5)


# --- fit


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float64, np.bool_])
def test_matrices_of_any_number_type_give_the_same_factors(log: sp.csr_matrix, dtype: type) -> None:
    whole = (log != 0) if dtype is np.bool_ else log
    expected = make_model().fit(sp.csr_matrix(whole, dtype=np.float32), show_progress=False)
    assert_same(make_model().fit(whole.astype(dtype), show_progress=False), expected)


@pytest.mark.parametrize("convert", [sp.csc_matrix, sp.coo_matrix, sp.csr_array])
def test_matrices_of_any_format_give_the_same_factors(
    log: sp.csr_matrix, convert: Callable[[Any], Any]
) -> None:
    expected = make_model().fit(log, show_progress=False)
    assert_same(make_model().fit(convert(log), show_progress=False), expected)


def test_indices_of_64_bits_change_no_bit_and_compile_nothing(
    log: sp.csr_matrix, solver: str
) -> None:
    wide = log.copy()
    wide.indices, wide.indptr = log.indices.astype(np.int64), log.indptr.astype(np.int64)
    expected = make_model(solver=solver).fit(log, show_progress=False)
    compiled = len(kernels.cg_rows.signatures), len(kernels.refined_rows.signatures)
    assert_same(make_model(solver=solver).fit(wide, show_progress=False), expected)
    assert (len(kernels.cg_rows.signatures), len(kernels.refined_rows.signatures)) == compiled


def test_repeated_and_unsorted_entries_add_up_and_zeros_are_no_interactions() -> None:
    rows, columns = np.array([0, 0, 1, 0, 2]), np.array([2, 1, 0, 2, 1])
    values = np.array([1.0, 2.0, 3.0, 4.0, 0.0], np.float32)
    messy = sp.csr_matrix((values, columns[[0, 1, 3, 2, 4]], [0, 3, 4, 5]), shape=(3, 4))
    messy.data = values[[0, 1, 3, 2, 4]]
    clean = sp.csr_matrix(sp.coo_matrix((values, (rows, columns)), shape=(3, 4)))
    clean.eliminate_zeros()
    assert_same(
        make_model().fit(messy, show_progress=False), make_model().fit(clean, show_progress=False)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_inputs_are_never_changed(dtype: type, solver: str) -> None:
    log = make_log().astype(dtype)
    log.indices[:2] = log.indices[:2][::-1].copy()  # unsorted
    before = log.copy()
    users, items = make_factors(N_USERS), make_factors(N_ITEMS)
    model = make_model(solver=solver)
    model.user_factors, model.item_factors = users, items
    model.fit(log, user_prior=make_prior(N_USERS), show_progress=False)
    model.partial_fit_users([0, 1], log[:2])
    model.fold_in(log, start=users)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(log, name), getattr(before, name))
    np.testing.assert_array_equal(users, make_factors(N_USERS))
    np.testing.assert_array_equal(items, make_factors(N_ITEMS))


@pytest.mark.parametrize("pulled", [False, True])
@pytest.mark.parametrize(("n_users", "n_items", "d"), [(6000, 4000, 32), (120_000, 2000, 16)])
def test_fitting_needs_memory_for_the_transposed_matrix_and_the_factors(
    solver: str, pulled: bool, n_users: int, n_items: int, d: int
) -> None:
    each = 480_000 // n_users  # one of every so many columns
    steps = np.random.default_rng(0).integers(0, n_items // each, (n_users, each))
    columns = steps + np.arange(each) * (n_items // each)
    limits = np.arange(n_users + 1) * each
    log = sp.csr_matrix(
        (np.ones(columns.size, np.float32), columns.ravel(), limits), (n_users, n_items)
    )
    means = np.full((n_users, d), 0.1)  # in another precision than that of the factors
    prior = Prior(means, np.ones(n_users)) if pulled else None
    model = PriorALS(d, iterations=2, solver=solver, rng=0)
    model.fit(log, user_prior=prior, show_progress=False)  # whatever is loaded once is loaded
    matrix = log.data.nbytes + log.indices.nbytes + log.indptr.nbytes
    factors = model.user_factors.nbytes + model.item_factors.nbytes
    inputs = matrix + (means.nbytes if pulled else 0)
    del model
    tracemalloc.start()  # numpy's arrays are counted; those inside kernels are a few per thread
    try:
        PriorALS(d, iterations=2, solver=solver, rng=0).fit(
            log, user_prior=prior, show_progress=False
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert inputs + peak <= 1.2 * (inputs + matrix + factors)


def test_a_prior_of_zero_precision_is_no_prior_bit_for_bit(log: sp.csr_matrix, solver: str) -> None:
    expected = make_model(solver=solver).fit(log, show_progress=False)
    model = make_model(solver=solver).fit(
        log,
        user_prior=make_prior(N_USERS).temper(0.0),
        item_prior=Prior(np.ones((1, D)), 3.0, shared=np.zeros((D, D))),
        show_progress=False,
    )
    assert_same(model, expected)


def test_a_strong_prior_is_what_is_learned(log: sp.csr_matrix, solver: str) -> None:
    prior = make_prior(N_USERS).temper(1e20)
    model = make_model(solver=solver).fit(log, user_prior=prior, show_progress=False)
    np.testing.assert_allclose(model.user_factors, prior.mean, rtol=1e-6, atol=1e-6)


def test_rows_without_interactions_are_their_prior_mean_or_zero(
    log: sp.csr_matrix, solver: str
) -> None:
    user_prior, item_prior = make_prior(N_USERS), make_prior(N_ITEMS, 4)
    model = make_model(solver=solver)
    model.fit(log, user_prior=user_prior, show_progress=False)
    np.testing.assert_array_equal(
        model.user_factors[EMPTY_USER], user_prior.mean[EMPTY_USER].astype(np.float32)
    )
    np.testing.assert_array_equal(model.item_factors[EMPTY_ITEM], 0)
    model.fit(log, item_prior=item_prior, show_progress=False)
    np.testing.assert_array_equal(model.user_factors[EMPTY_USER], 0)
    np.testing.assert_array_equal(
        model.item_factors[EMPTY_ITEM], item_prior.mean[EMPTY_ITEM].astype(np.float32)
    )


def test_a_fit_with_a_prior_ends_in_the_exact_rows(log: sp.csr_matrix, solver: str) -> None:
    prior, item_prior = make_prior(N_USERS), make_prior(N_ITEMS, 4)
    model = make_model(solver=solver).fit(log, user_prior=prior, show_progress=False)
    np.testing.assert_array_equal(model.fold_in(log, prior=prior), model.user_factors)
    model.fit(log, item_prior=item_prior, show_progress=False)
    rows = model.recalculate_item(np.arange(N_ITEMS), log.T.tocsr())
    np.testing.assert_array_equal(rows, model.item_factors)


@pytest.mark.parametrize("num_threads", [0, 2, 3])
def test_the_number_of_threads_changes_no_bit(
    log: sp.csr_matrix, solver: str, num_threads: int
) -> None:
    prior = make_prior(N_USERS)
    fits = [
        make_model(solver=solver, num_threads=threads).fit(
            log, user_prior=prior, show_progress=False
        )
        for threads in (1, num_threads)
    ]
    assert_same(*fits)


def test_on_real_logs_the_number_of_threads_changes_no_bit(solver: str) -> None:
    file = DATA / "yelp" / "interactions.csv.gz"
    if not file.exists():
        pytest.skip(f"no {file}")
    log = read_interactions(f"{file}#Nightlife").user_items
    prior = Prior(make_factors(log.shape[0], 64), np.linspace(1, 50, log.shape[0]))
    first, second, again = (
        PriorALS(64, alpha=20, iterations=3, solver=solver, rng=0, num_threads=threads).fit(
            log, user_prior=prior, show_progress=False
        )
        for threads in (1, 2, 2)
    )
    assert_same(second, first)
    assert_same(again, first)


def test_fits_in_several_python_threads_at_once_change_no_bit(log: sp.csr_matrix) -> None:
    prior = make_prior(N_USERS)

    def fit(seed: int) -> PriorALS:
        model = make_model(solver=SOLVERS[seed % 2], rng=seed, num_threads=2)
        return model.fit(log, user_prior=prior, show_progress=False)

    alone = [fit(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for model, expected in zip(pool.map(fit, range(8)), alone, strict=True):
            assert_same(model, expected)


LEARN_MORE: dict[str, Callable[[PriorALS, sp.csr_matrix], PriorALS | None]] = {
    "fit": lambda model, log: model.fit(log[:50, :40], show_progress=False),
    "condition_users": lambda model, log: model.condition_users(log, make_prior(N_USERS)),
    "condition_items": lambda model, log: model.condition_items(log.T, make_prior(N_ITEMS)),
    "partial_fit_users": lambda model, log: model.partial_fit_users([N_USERS + 2], log[0]),
    "partial_fit_items": lambda model, log: model.partial_fit_items([N_ITEMS], log.T.tocsr()[0]),
}


@pytest.mark.parametrize("verb", LEARN_MORE)
@pytest.mark.parametrize(
    "copied", [lambda m: m, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_refitting_equals_a_fresh_fit(
    log: sp.csr_matrix, verb: str, copied: Callable[[PriorALS], PriorALS]
) -> None:
    model = make_model().fit(log, show_progress=False)
    LEARN_MORE[verb](model, log)
    again = copied(model).fit(log, show_progress=False)
    assert_same(again, make_model().fit(log, show_progress=False))
    assert again.user_prior_ is None
    assert again.item_prior_ is None


def test_factors_assigned_before_a_fit_are_its_start_even_after_another_fit(
    log: sp.csr_matrix,
) -> None:
    users, items = make_factors(N_USERS), make_factors(N_ITEMS)
    model = make_model(iterations=0).fit(log, show_progress=False)
    model.user_factors, model.item_factors = users, items
    model.fit(log, show_progress=False)
    np.testing.assert_array_equal(model.user_factors, users)
    np.testing.assert_array_equal(model.item_factors, items)


def test_the_callback_hears_of_every_sweep(log: sp.csr_matrix) -> None:
    heard: list[int] = []
    make_model().fit(log, show_progress=False, callback=lambda sweep, *_: heard.append(sweep))
    assert heard == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "cholesky", "regularization": 0.0, "factors": N_ITEMS + 1}, "user factors"),
        ({"alpha": 1e30}, "user factors"),
    ],
)
def test_factors_that_are_not_finite_name_the_sweep_and_a_remedy(
    log: sp.csr_matrix, settings: dict[str, Any], message: str
) -> None:
    match = f"{message} in sweep 1 of 3 have no finite solution: raise the regularization"
    with pytest.raises(FitError, match=match):
        make_model(**settings).fit(log, show_progress=False)


def with_value(value: float) -> sp.csr_matrix:
    log = make_log().astype(np.float64)
    log.data[0] = value
    return log


@pytest.mark.parametrize(
    ("settings", "fit", "message"),
    [
        ({"solver": "qr"}, {}, 'solver must be "cg" or "cholesky", got \'qr\''),
        ({"factors": 0}, {}, "factors must be a whole number from 1 on, got 0"),
        ({"iterations": 2.5}, {}, "iterations must be a whole number from 0 on, got 2.5"),
        ({"cg_steps": 0}, {}, "cg_steps must be a whole number from 1 on, got 0"),
        ({"regularization": -1.0}, {}, "regularization must be finite and not negative, got -1.0"),
        ({"alpha": np.nan}, {}, "alpha must be finite and not negative, got nan"),
        ({"num_threads": -1}, {}, "num_threads must be 0"),
        ({}, {"user_items": with_value(np.nan)}, "holds 1 values that, times alpha, are NaN"),
        ({}, {"user_items": with_value(1e300)}, "or inf in float32: remove or clip them"),
        ({"alpha": 100.0}, {"user_items": with_value(1e37)}, "holds 1 values that, times alpha"),
        ({}, {"user_prior": Prior(np.ones((7, D)))}, "the prior has 7 rows but the matrix has 140"),
        ({}, {"item_prior": Prior(np.ones((1, 4)))}, "the prior is 4 wide but the factors are 6"),
    ],
)
def test_what_cannot_be_fitted_is_named(
    settings: dict[str, Any], fit: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(**settings).fit(**{"user_items": make_log(), "show_progress": False, **fit})


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (np.ones((N_USERS - 1, D)), r"user_factors must be \(140, 6\), got \(139, 6\)"),
        (np.ones((N_USERS, D + 1)), r"user_factors must be \(140, 6\), got \(140, 7\)"),
        (np.full((N_USERS, D), np.nan), "user_factors holds NaN or inf"),
    ],
)
def test_preset_factors_that_do_not_fit_are_named(
    log: sp.csr_matrix, factors: Array, message: str
) -> None:
    model = make_model()
    model.user_factors = factors
    with pytest.raises(ValueError, match=message):
        model.fit(log, show_progress=False)


def test_a_dense_matrix_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a scipy sparse matrix, got ndarray"):
        make_model().fit(np.ones((3, 4)))


def test_an_unfitted_model_says_so(log: sp.csr_matrix) -> None:
    with pytest.raises(ValueError, match="no item factors yet: call fit first"):
        make_model().fold_in(log)
    with pytest.raises(ValueError, match="no item factors yet: call fit first"):
        make_model().recalculate_user([0], log[0])
    with pytest.raises(ValueError, match="no user factors yet: call fit first"):
        make_model().condition_items(log.T, make_prior(N_ITEMS))


def test_settings_are_stored_as_given_and_cloned() -> None:
    model = make_model(solver="cholesky", cg_steps=5, num_threads=2, regularization=0.5)
    model.user_factors = make_factors(4)
    settings = {"factors": D, "iterations": 3, "alpha": 5.0, "rng": 3, "solver": "cholesky"}
    settings |= {"cg_steps": 5, "num_threads": 2, "regularization": 0.5}
    assert model.get_params() == settings
    assert model.clone().get_params() == settings
    assert model.clone().user_factors is None


# --- rows from interactions


@pytest.mark.parametrize("with_prior", [False, True])
def test_folding_in_is_the_half_step_of_training(
    log: sp.csr_matrix, solver: str, with_prior: bool
) -> None:
    users, items = make_factors(N_USERS), make_factors(N_ITEMS)
    prior = make_prior(N_USERS) if with_prior else None
    model = make_model(solver=solver, iterations=0)
    model.item_factors = items
    half_step = solve_rows(
        log * np.float32(model.alpha),
        items,
        regularization=model.regularization,
        prior=prior,
        start=users,
        solver=solver,
    )
    folded = model.fold_in(log, prior=prior, start=users if solver == "cg" else None)
    np.testing.assert_array_equal(folded, half_step)


def test_users_of_one_sweep_fold_in_to_themselves_from_the_same_start(
    log: sp.csr_matrix, solver: str
) -> None:
    users, items = make_factors(N_USERS), make_factors(N_ITEMS)
    trained, before = make_model(solver=solver, iterations=1), make_model(solver=solver)
    trained.user_factors, trained.item_factors, before.item_factors = users, items, items
    trained.fit(log, show_progress=False)
    np.testing.assert_array_equal(before.fold_in(log, start=users), trained.user_factors)


def test_folding_in_is_exact_without_a_start(log: sp.csr_matrix) -> None:
    prior = make_prior(N_USERS)
    exact, loose = make_model(solver="cholesky"), make_model(solver="cg")
    exact.item_factors = loose.item_factors = make_factors(N_ITEMS)
    np.testing.assert_array_equal(loose.fold_in(log, prior=prior), exact.fold_in(log, prior=prior))


def test_folding_in_stores_nothing_and_checks_its_shapes(fitted: PriorALS) -> None:
    users, items = fitted.user_factors.copy(), fitted.item_factors.copy()
    newcomers = sp.csr_matrix((2, N_ITEMS))
    np.testing.assert_array_equal(fitted.fold_in(newcomers), 0)
    np.testing.assert_array_equal(fitted.fold_in(newcomers, prior=Prior(np.ones((1, D)))), 1)
    np.testing.assert_array_equal(fitted.user_factors, users)
    np.testing.assert_array_equal(fitted.item_factors, items)
    with pytest.raises(
        ValueError, match="the matrix has 89 columns but the other side has 90 rows"
    ):
        fitted.fold_in(newcomers[:, 1:])
    with pytest.raises(ValueError, match=r"start must be \(2, 6\), got \(1, 6\)"):
        fitted.fold_in(newcomers, start=np.ones((1, D)))


def test_recalculating_known_rows_gives_their_exact_rows(
    fitted: PriorALS, log: sp.csr_matrix
) -> None:
    rows = fitted.recalculate_user([7, EMPTY_USER], log[[7, EMPTY_USER]])
    np.testing.assert_array_equal(rows, fitted.user_factors[[7, EMPTY_USER]])
    one = fitted.recalculate_user(7, log[7])
    np.testing.assert_array_equal(one, fitted.user_factors[7])
    assert fitted.item_prior_ is not None
    nobody = sp.csr_matrix((1, N_USERS))
    mean = fitted.item_prior_.mean.astype(np.float32)
    np.testing.assert_array_equal(fitted.recalculate_item(9, nobody), mean[9])


def test_recalculating_without_a_prior_is_implicits(log: sp.csr_matrix) -> None:
    model = make_model().fit(log, show_progress=False)
    twin = implicit_model(model, start=(model.user_factors, model.item_factors))
    users = np.array([7, 2, EMPTY_USER])
    expected = twin.recalculate_user(users, log[users])
    np.testing.assert_allclose(model.recalculate_user(users, log[users]), expected, atol=1e-5)
    expected = twin.recalculate_item(users, log.T.tocsr()[users])
    rows = model.recalculate_item(users, log.T.tocsr()[users])
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_nothing_is_known_of_row_numbers_beyond_the_prior(
    fitted: PriorALS, log: sp.csr_matrix
) -> None:
    histories = sp.vstack([log[0], sp.csr_matrix((1, N_ITEMS))])
    rows = fitted.recalculate_user([N_USERS + 4, N_USERS], histories)
    np.testing.assert_array_equal(rows, fitted.fold_in(histories))
    assert rows[0].any()
    assert not rows[1].any()


def test_a_prior_of_one_row_is_everybodys_for_new_rows_too(log: sp.csr_matrix) -> None:
    prior = Prior(np.full((1, D), 0.5), 30.0)
    model = make_model().fit(log, user_prior=prior, show_progress=False)
    for user in (4, EMPTY_USER, N_USERS + 9):
        row = model.recalculate_user(user, log[4])
        np.testing.assert_array_equal(row, model.user_factors[4])
    model.partial_fit_users([N_USERS + 1], log[4])
    np.testing.assert_array_equal(model.user_factors[[N_USERS + 1]], model.user_factors[[4]])
    np.testing.assert_array_equal(model.user_factors[N_USERS], 0.5)


@pytest.mark.parametrize("ids", [-1, [2, -3], [1.5, 2.5], ["a", "b"]])
def test_row_numbers_must_be_row_numbers(fitted: PriorALS, ids: Any) -> None:
    history = sp.csr_matrix((np.size(ids), N_ITEMS))
    with pytest.raises(ValueError, match="expected row numbers from 0 on, got"):
        fitted.recalculate_user(ids, history)


def test_one_row_of_interactions_is_needed_for_each_row_number(
    fitted: PriorALS, log: sp.csr_matrix
) -> None:
    with pytest.raises(ValueError, match="has 2 rows for 3 row numbers: give one row for each"):
        fitted.recalculate_user([1, 2, 3], log[:2])
    assert fitted.recalculate_user([], log[:0]).shape == (0, D)


def test_partial_fits_store_rows_and_never_shrink_a_prior_to_zero(
    fitted: PriorALS, log: sp.csr_matrix
) -> None:
    assert fitted.user_prior_ is not None
    mean = fitted.user_prior_.mean.astype(np.float32)
    before, items = fitted.user_factors.copy(), fitted.item_factors.copy()
    held = fitted.user_factors
    fitted.partial_fit_users([8, EMPTY_USER, 6], sp.vstack([log[2], sp.csr_matrix((2, N_ITEMS))]))
    np.testing.assert_array_equal(fitted.user_factors[[EMPTY_USER, 6]], mean[[EMPTY_USER, 6]])
    np.testing.assert_array_equal(fitted.user_factors[8], fitted.recalculate_user(8, log[2]))
    rest = np.setdiff1d(np.arange(N_USERS), [8, 6])
    np.testing.assert_array_equal(fitted.user_factors[rest], before[rest])
    np.testing.assert_array_equal(held, before)  # arrays taken from the model stay as they were
    np.testing.assert_array_equal(fitted.item_factors, items)


def test_partial_fits_add_new_rows(fitted: PriorALS, log: sp.csr_matrix) -> None:
    fitted.partial_fit_items([N_ITEMS + 1], log.T.tocsr()[2])
    assert fitted.item_factors.shape == (N_ITEMS + 2, D)
    np.testing.assert_array_equal(fitted.item_factors[N_ITEMS], 0)
    row = fitted.recalculate_item(N_ITEMS + 1, log.T.tocsr()[2])
    np.testing.assert_array_equal(fitted.item_factors[-1], row)
    ids, _ = fitted.similar_items(N_ITEMS + 1, N=1)
    assert ids[0] == N_ITEMS + 1  # cached norms know the new row


def test_conditioning_gives_users_a_prior_and_leaves_items(log: sp.csr_matrix) -> None:
    model = make_model().fit(log, show_progress=False)
    items = model.item_factors.copy()
    prior, more = make_prior(N_USERS + 2), sp.vstack([log, sp.csr_matrix((2, N_ITEMS))])
    assert model.condition_users(more, prior, regularization=0.0) is model
    expected = solve_rows(more * np.float32(5), items, regularization=0.0, prior=prior)
    np.testing.assert_array_equal(model.user_factors, expected)
    np.testing.assert_array_equal(model.user_factors[-1], prior.mean[-1].astype(np.float32))
    np.testing.assert_array_equal(model.item_factors, items)
    np.testing.assert_array_equal(model.recalculate_user(4, log[4]), expected[4])
    np.testing.assert_array_equal(model.fold_in(more, prior=prior), expected)
    assert (model.user_regularization_, model.item_regularization_) == (0.0, 20.0)


def test_restoring_puts_back_a_conditioned_model(fitted: PriorALS, log: sp.csr_matrix) -> None:
    prior = make_prior(N_USERS)
    fitted.condition_users(log, prior, regularization=1.0)
    users, items = fitted.user_factors, fitted.item_factors
    model = make_model().restore(users, items, prior, 1.0)
    assert_same(model, fitted)
    rows = model.recalculate_user([8, 9], log[[1, 2]])
    np.testing.assert_array_equal(rows, fitted.recalculate_user([8, 9], log[[1, 2]]))
    assert_same(model.fit(log, show_progress=False), make_model().fit(log, show_progress=False))
    with pytest.raises(ValueError, match=r"item_factors must be \(90, 6\), got \(90, 5\)"):
        model.restore(users, items[:, 1:], prior, 1.0)


def test_swapping_exchanges_the_sides_and_back(fitted: PriorALS, log: sp.csr_matrix) -> None:
    fitted.condition_items(log.T, make_prior(N_ITEMS), regularization=1.0)
    swapped = fitted.swapped()
    np.testing.assert_array_equal(swapped.user_factors, fitted.item_factors)
    rows = swapped.recalculate_user([2, 3], log.T.tocsr()[[2, 3]])
    np.testing.assert_array_equal(rows, fitted.item_factors[[2, 3]])
    assert_same(swapped.swapped(), fitted)
    assert swapped.swapped().item_regularization_ == 1.0


# --- the rest of implicit's interface


def test_lists_are_those_of_implicit_with_the_same_factors(
    fitted: PriorALS, log: sp.csr_matrix
) -> None:
    twin = implicit_model(fitted, start=(fitted.user_factors, fitted.item_factors))
    users = np.array([9, EMPTY_USER, 4])
    for verb, arguments in (
        ("recommend", {"userid": users, "user_items": log[users], "N": 7}),
        ("recommend", {"userid": 9, "user_items": log[9], "items": [3, 8, 2, 50]}),
        ("recommend", {"userid": 9, "user_items": log[9], "filter_already_liked_items": False}),
        ("similar_items", {"itemid": 4, "N": 5}),
        ("similar_users", {"userid": users, "N": 5}),
    ):
        ids, scores = getattr(fitted, verb)(**arguments)
        expected_ids, expected_scores = getattr(twin, verb)(**arguments)
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(scores, expected_scores)
    ids, _ = fitted.recommend(9, log[9])
    assert not set(ids) & set(log[9].indices)


def test_recommending_from_recalculated_rows_keeps_the_prior(fitted: PriorALS) -> None:
    nothing = sp.csr_matrix((1, N_ITEMS), dtype=np.float32)
    assert fitted.user_prior_ is not None
    scores = fitted.item_factors @ fitted.user_prior_.mean[9].astype(np.float32)
    ids, best = fitted.recommend(9, nothing, N=4, recalculate_user=True)
    np.testing.assert_array_equal(ids, np.argsort(-scores)[:4])
    np.testing.assert_allclose(best, scores[ids], rtol=1e-5)
    nobody = sp.csr_matrix((1, N_USERS), dtype=np.float32)
    ids, _ = fitted.similar_items(EMPTY_ITEM, N=1, recalculate_item=True, item_users=nobody)
    assert ids[0] == EMPTY_ITEM


@pytest.mark.parametrize("user", [9, EMPTY_USER])
def test_the_total_of_an_explanation_is_the_score_of_the_exact_row(
    fitted: PriorALS, log: sp.csr_matrix, user: int
) -> None:
    total, shares, weights = fitted.explain(user, log, 11)
    expected = fitted.user_factors[user] @ fitted.item_factors[11]
    assert total == pytest.approx(expected, rel=1e-5, abs=1e-6)
    again, _, _ = fitted.explain(user, log, 11, user_weights=weights)
    assert again == total
    assert len(shares) == min(10, log[user].nnz)


@pytest.mark.parametrize("dislikes", [False, True])
def test_explanations_without_a_prior_are_implicits(dislikes: bool) -> None:
    log = make_log(dislikes=dislikes)
    model = make_model().fit(log, show_progress=False)
    twin = implicit_model(model, start=(model.user_factors, model.item_factors))
    total, shares, _ = model.explain(9, log, 11, N=4)
    expected_total, expected_shares, _ = twin.explain(9, log, 11, N=4)
    assert total == pytest.approx(expected_total, rel=1e-4)
    assert [item for item, _ in shares] == [item for item, _ in expected_shares]
    np.testing.assert_allclose(shares, expected_shares, rtol=1e-4, atol=1e-5)


def test_the_gpu_model_is_refused_while_there_is_a_prior(fitted: PriorALS) -> None:
    with pytest.raises(ValueError, match="would forget the prior: fit without one first"):
        fitted.to_gpu()


# --- files


SAVED_PRIORS = {
    "none": None,
    "scalar": Prior(make_factors(N_USERS), 2.0),
    "rows": Prior(make_factors(N_USERS), np.arange(N_USERS)),
    "cells": Prior(make_factors(N_USERS), np.ones((N_USERS, D))),
    "columns": Prior(make_factors(N_USERS), np.arange(1.0, D + 1)[None], origin=np.ones(D)),
    "shared": make_prior(N_USERS),
    "everybody": Prior(np.ones((1, D)), 3.0),
}


@pytest.mark.parametrize("form", SAVED_PRIORS)
def test_saving_and_loading_keeps_everything(
    log: sp.csr_matrix, tmp_path: Path, form: str, solver: str
) -> None:
    prior = SAVED_PRIORS[form]
    model = make_model(solver=solver, cg_steps=2, num_threads=1)
    model.fit(log, user_prior=prior, show_progress=False)
    if prior is not None:
        model.condition_users(log, prior, regularization=1.5)
    model.save(tmp_path / "model")
    loaded = PriorALS.load(tmp_path / "model.npz")
    assert_same(loaded, model)
    assert loaded.get_params() == model.get_params()
    assert loaded.user_regularization_ == model.user_regularization_
    assert loaded.item_prior_ is None
    for name in ("mean", "precision", "shared", "origin"):
        kept, saved = getattr(loaded.user_prior_, name, None), getattr(prior, name, None)
        np.testing.assert_array_equal(kept, saved)
    history = sp.csr_matrix((2, N_ITEMS))
    np.testing.assert_array_equal(
        loaded.recalculate_user([4, 8], history), model.recalculate_user([4, 8], history)
    )
    assert_same(loaded.fit(log, show_progress=False), model.clone().fit(log, show_progress=False))


@pytest.mark.parametrize("suffix", ["", ".npz"])
@pytest.mark.parametrize("kind", [str, Path])
def test_the_suffix_may_be_left_out(
    fitted: PriorALS, tmp_path: Path, suffix: str, kind: type
) -> None:
    path = kind(tmp_path / f"model{suffix}")
    fitted.save(path)
    assert_same(PriorALS.load(path), fitted)


def test_an_open_file_will_do(fitted: PriorALS, tmp_path: Path) -> None:
    with (tmp_path / "model").open("wb") as file:
        fitted.save(file)
    with (tmp_path / "model").open("rb") as file:
        assert_same(PriorALS.load(file), fitted)


def test_an_unfitted_model_can_be_saved(tmp_path: Path) -> None:
    make_model(rng=np.random.default_rng(0)).save(tmp_path / "model.npz")
    loaded = PriorALS.load(tmp_path / "model.npz")
    assert loaded.user_factors is None
    assert loaded.rng is None  # a generator is not kept


def test_implicit_reads_our_files_and_we_read_implicits(
    fitted: PriorALS, log: sp.csr_matrix, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "ours.npz")
    with one_blas_thread():
        theirs = AlternatingLeastSquares.load(str(tmp_path / "ours.npz"))
    assert_near(fitted, theirs, 0.0)
    np.testing.assert_array_equal(theirs.recommend(9, log[9])[0], fitted.recommend(9, log[9])[0])
    theirs.save(str(tmp_path / "theirs.npz"))
    assert_same(PriorALS.load(tmp_path / "theirs.npz"), fitted)


def write_truncated(path: Path) -> None:
    make_model().save(path)
    path.write_bytes(path.read_bytes()[:-40])


def write_damaged(path: Path) -> None:
    model = make_model()
    model.user_factors = model.item_factors = make_factors(50)
    model.save(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"user_factors.npy") + 300] ^= 255
    path.write_bytes(bytes(content))


def write_single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


WRONG_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another npz": (lambda path: np.savez(path, weights=np.ones(3)), "holds no 'factors'"),
    "a single array": (write_single, "a single array"),
    "text": (lambda path: path.write_text("user,item\n1,2\n"), "damaged one"),
    "nothing": (lambda path: path.write_bytes(b""), "damaged one"),
    "truncated": (write_truncated, "damaged one: File is not a zip file"),
    "damaged": (write_damaged, "damaged one: Bad CRC-32"),
}


@pytest.mark.parametrize("kind", WRONG_FILES)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    write, message = WRONG_FILES[kind]
    write(tmp_path / "wrong.npz")
    with pytest.raises(ArtefactError, match=message) as error:
        PriorALS.load(tmp_path / "wrong.npz")
    assert str(error.value).startswith("not a saved PriorALS")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.npz"):
        PriorALS.load(tmp_path / "model")
