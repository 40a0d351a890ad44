"""Implicit ALS whose ridge is joined by a prior around every row: implicit's model, warm-started in the objective."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from . import kernels
from .errors import ArtefactError, FitError
from .prior import Prior
from .threads import one_blas_thread, run_blocks

__all__ = ["PriorALS", "solve_rows"]

Floats = NDArray[np.float32]

ROW_BLOCK = 128  # rows a thread takes at a time


def solve_rows(
    confidence: sp.csr_matrix,
    other: Floats,
    *,
    regularization: float,
    prior: Prior | None = None,
    start: Floats | None = None,
    solver: str = "cholesky",
    cg_steps: int = 3,
    num_threads: int = 0,
    gram: NDArray[np.float64] | None = None,
) -> Floats:
    """The one row equation behind training, fold-in and evaluation.

    Parameters
    ----------
    confidence : csr_matrix (n, m)
        ``alpha * value`` of the observed pairs; unobserved pairs have confidence 1.
    other : array (m, d)
        Factors of the other side.
    regularization : float
        Ridge around zero.
    prior : Prior of n rows (or of one row, for everybody), optional
    start : array (n, d), optional
        Where conjugate gradients start, zeros by default; the exact solver does not read it.
    solver : {"cholesky", "cg"}
    gram : array (d, d), optional
        ``other' other``, where the caller has it already.

    Returns
    -------
    array (n, d), float32
    """
    n, d = confidence.shape[0], other.shape[1]
    gram = gram_matrix(other) if gram is None else gram
    gram = gram + regularization * np.eye(d)
    mean, (row, spread, shared) = _prior_parts(prior, n, d)
    rows = confidence.indptr, confidence.indices, confidence.data
    out = np.zeros((n, d), np.float32) if start is None else np.array(start, np.float32, order="C")
    if solver == "cg":
        parts = [part.astype(np.float32) for part in (gram, mean, row, spread, shared)]

        def work(begin: int, end: int) -> None:
            kernels.cg_rows(begin, end, *rows, other, *parts, cg_steps, out)

    else:
        exact = [part.astype(np.float64) for part in (gram, row, spread, shared)]
        mean32 = mean.astype(np.float32)

        def work(begin: int, end: int) -> None:
            kernels.exact_rows(begin, end, *rows, other, exact[0], mean32, *exact[1:], out)

    run_blocks(work, n, block=ROW_BLOCK, num_threads=num_threads)
    return out


def gram_matrix(factors: Floats) -> NDArray[np.float64]:
    """``factors' factors`` (d, d), summed in float64 over blocks of rows, the same for any number of threads."""
    d = factors.shape[1]
    total = np.zeros((d, d))
    with one_blas_thread():
        for begin in range(0, factors.shape[0], 4096):
            block = factors[begin : begin + 4096]
            total += block.T @ block
    return total


def _prior_parts(prior: Prior | None, n: int, d: int) -> tuple[Any, tuple[Any, Any, Any]]:
    if prior is None:
        return np.zeros((1, d)), (np.zeros(1), np.zeros((1, d)), np.zeros((0, 0)))
    if prior.width != d:
        raise ValueError(f"the prior is {prior.width} wide but the factors are {d} wide")
    if len(prior) not in (1, n):
        raise ValueError(f"the prior has {len(prior)} rows but the matrix has {n}: give one row for each, or one")
    return prior.mean, prior.parts()


class PriorALS(AlternatingLeastSquares):
    """Implicit ALS with a Gaussian prior around user or item rows; without a prior it is implicit's ALS.

    Minimises, over user rows x_u and item rows y_i, ::

        sum_ui c_ui (p_ui - x_u'y_i)^2 + R (sum_u |x_u|^2 + sum_i |y_i|^2)
            + sum_u (x_u - m_u)' L_u (x_u - m_u)  [+ the same for items]

    with ``c = alpha * value`` and p = 1 on observed pairs, c = 1 and p = 0 elsewhere. A row without interactions and
    with a prior *is* its prior mean; without a prior it is zero.

    Parameters
    ----------
    factors : int, default 64
        Width d of the embeddings.
    regularization : float, default 20.0
        Ridge R around zero.
    alpha : float, default 20.0
        Confidence of a pair of value 1.
    iterations : int, default 10
        Sweeps over users and items.
    solver : {"cg", "cholesky"}, default "cg"
        `cg_steps` conjugate gradient steps from the row's present value, or the exact solution.
    cg_steps : int, default 3
    num_threads : int, default 0
        0 is all cores. Results are bitwise the same for any number.
    rng : int, numpy.random.Generator or None
        Seeds the starting factors, as implicit's ``random_state`` does.

    Attributes
    ----------
    user_factors : array (n_users, d), item_factors : array (n_items, d)
        Assigned before `fit`, they are where the sweeps start (they are copied). What an earlier `fit` of this object
        left is not: refitting equals a fresh fit.
    user_prior_, item_prior_ : Prior or None
        Kept for `recalculate_user`, `partial_fit_users`, `explain` and their item forms.
    user_regularization_, item_regularization_ : float
        The ridge of each side.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets.
    Takacs, Pilaszy and Tikk (2011), Applications of the Conjugate Gradient Method for Implicit Feedback
    Collaborative Filtering.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from coldstart import Prior, PriorALS
    >>> log = sp.random(30, 20, density=0.2, format="csr", random_state=0)
    >>> model = PriorALS(factors=4, rng=0).fit(log, show_progress=False)
    >>> newcomer = sp.csr_matrix((1, 20))
    >>> model.fold_in(newcomer, prior=Prior(np.ones((1, 4)), 5.0))
    array([[1., 1., 1., 1.]], dtype=float32)
    """

    solver: str = "cg"  # implicit has a property here that would leave the prior out

    def __init__(
        self,
        factors: int = 64,
        *,
        regularization: float = 20.0,
        alpha: float = 20.0,
        iterations: int = 10,
        solver: str = "cg",
        cg_steps: int = 3,
        num_threads: int = 0,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        with one_blas_thread():  # implicit warns of BLAS threads, which are held to one wherever they would hurt
            super().__init__(
                factors=factors,
                regularization=regularization,
                alpha=alpha,
                use_cg=solver == "cg",
                iterations=iterations,
                num_threads=num_threads,
                random_state=rng,
            )
        self.solver = solver
        self.cg_steps = cg_steps
        self.rng = rng
        self.user_prior_: Prior | None = None
        self.item_prior_: Prior | None = None
        self.user_regularization_ = regularization
        self.item_regularization_ = regularization
        self._learned: tuple[Any, Any] = (None, None)

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {
            "factors": self.factors,
            "regularization": self.regularization,
            "alpha": self.alpha,
            "iterations": self.iterations,
            "solver": self.solver,
            "cg_steps": self.cg_steps,
            "num_threads": self.num_threads,
            "rng": self.rng,
        }

    def clone(self) -> PriorALS:
        """An unfitted model with the same settings."""
        return type(self)(**self.get_params())

    def fit(  # type: ignore[override]
        self,
        user_items: sp.csr_matrix,
        *,
        user_prior: Prior | None = None,
        item_prior: Prior | None = None,
        show_progress: bool = True,
        callback: Callable[[int, float, None], None] | None = None,
    ) -> PriorALS:
        """Factorise ``user_items`` (n_users, n_items), of integers, float32 or float64; inputs are never changed.

        A prior has one row per row of its side, or a single row for everybody. With a prior, `fit` ends with one
        exact solve of that side, so that its rows are what `fold_in` computes.

        Raises
        ------
        ValueError
            When shapes or settings do not fit, or the matrix holds NaN or inf.
        FitError
            When factors become non-finite.
        """
        self._check_settings()
        cui = self._confidence(user_items)
        ciu = cui.T.tocsr()
        users, items = self._starting_factors(*cui.shape)
        _prior_parts(user_prior, cui.shape[0], self.factors)
        _prior_parts(item_prior, cui.shape[1], self.factors)
        for sweep in tqdm(range(self.iterations), disable=not show_progress):
            began = time.perf_counter()
            users = self._solve(cui, items, self.regularization, user_prior, users)
            items = self._solve(ciu, users, self.regularization, item_prior, items)
            _check_finite(users, items, f"sweep {sweep + 1} of {self.iterations}")
            if callback is not None:
                callback(sweep, time.perf_counter() - began, None)
        if item_prior is not None:
            items = self._solve(ciu, users, self.regularization, item_prior)
        if user_prior is not None:
            users = self._solve(cui, items, self.regularization, user_prior)
        _check_finite(users, items, "the last exact step")
        self._store(users, items)
        self._learned = (users, items)
        self.user_prior_, self.item_prior_ = user_prior, item_prior
        self.user_regularization_ = self.item_regularization_ = self.regularization
        return self

    def condition_users(
        self, user_items: sp.csr_matrix, prior: Prior, *, regularization: float | None = None
    ) -> PriorALS:
        """Give the users of a fitted model a prior: their rows are solved exactly, item factors stay.

        `user_items` (n, n_items) and `prior` (n rows) may have more rows than the model was fitted on.
        `regularization` replaces the ridge of the user side (0 leaves the prior alone to regularise).
        """
        ridge = self.regularization if regularization is None else regularization
        cui = self._confidence(user_items, columns=len(self.item_factors))
        users = self._solve(cui, self.item_factors, ridge, prior)
        _check_finite(users, self.item_factors, "the exact step of the users")
        self._store(users, self.item_factors)
        self.user_prior_, self.user_regularization_ = prior, ridge
        return self

    def condition_items(
        self, item_users: sp.csr_matrix, prior: Prior, *, regularization: float | None = None
    ) -> PriorALS:
        """As `condition_users`, for items; `item_users` is (n, n_users)."""
        ridge = self.regularization if regularization is None else regularization
        ciu = self._confidence(item_users, columns=len(self.user_factors))
        items = self._solve(ciu, self.user_factors, ridge, prior)
        _check_finite(self.user_factors, items, "the exact step of the items")
        self._store(self.user_factors, items)
        self.item_prior_, self.item_regularization_ = prior, ridge
        return self

    def fold_in(
        self,
        user_items: sp.csr_matrix,
        *,
        prior: Prior | None = None,
        start: ArrayLike | None = None,
    ) -> Floats:
        """Rows (n, d) of users who need not be in the model, from their interactions and their prior.

        Exact; given `start` (n, d), a model with ``solver="cg"`` takes its conjugate gradient steps from there, as
        in training. Nothing is stored.
        """
        cui = self._confidence(user_items, columns=len(self.item_factors))
        rows = None if start is None else _checked_factors(start, cui.shape[0], self.factors, "start")
        return self._solve(cui, self.item_factors, self.user_regularization_, prior, rows)

    def recalculate_user(self, userid: Any, user_items: sp.csr_matrix) -> Floats:
        """Rows of known users from other interactions, under the users' own priors; nothing is stored."""
        cui = self._confidence(user_items, rows=np.size(userid), columns=len(self.item_factors))
        prior = _prior_of(self.user_prior_, userid)
        rows = self._solve(cui, self.item_factors, self.user_regularization_, prior)
        return cast(Floats, rows[0]) if np.isscalar(userid) else rows

    def recalculate_item(self, itemid: Any, item_users: sp.csr_matrix) -> Floats:
        """Rows of known items from other interactions, under the items' own priors; nothing is stored."""
        ciu = self._confidence(item_users, rows=np.size(itemid), columns=len(self.user_factors))
        prior = _prior_of(self.item_prior_, itemid)
        rows = self._solve(ciu, self.user_factors, self.item_regularization_, prior)
        return cast(Floats, rows[0]) if np.isscalar(itemid) else rows

    def explain(
        self,
        userid: int,
        user_items: sp.csr_matrix,
        itemid: int,
        user_weights: Any = None,
        N: int = 10,
    ) -> tuple[float, list[tuple[int, float]], Any]:
        """What each liked item adds to a score, as in implicit; the total contains the prior's share too."""
        liked = self._confidence(user_items[[userid]], columns=len(self.item_factors))
        prior = _prior_of(self.user_prior_, [userid])
        pull = np.zeros((1, self.factors, self.factors)) if prior is None else prior.matrices()
        y = self.item_factors[liked.indices].astype(np.float64)
        if user_weights is None:
            a = gram_matrix(self.item_factors) + self.user_regularization_ * np.eye(self.factors)
            a += (y.T * (np.abs(liked.data) - 1)) @ y + pull[0]
            user_weights = scipy.linalg.cho_factor(a)
        weighted = scipy.linalg.cho_solve(user_weights, self.item_factors[itemid].astype(np.float64))
        shares = np.maximum(liked.data, 0) * (y @ weighted)
        total = shares.sum() + (0.0 if prior is None else weighted @ pull[0] @ prior.mean[0])
        top = [e for e in np.argsort(-shares, kind="stable") if liked.data[e] > 0][:N]
        return float(total), [(int(liked.indices[e]), float(shares[e])) for e in top], user_weights

    def to_gpu(self) -> Any:
        """implicit's GPU model, which knows no priors: refused while a prior is in use."""
        if self.user_prior_ is not None or self.item_prior_ is not None:
            raise ValueError("implicit's GPU model would forget the prior: fit without one to use to_gpu")
        return super().to_gpu()

    def save(self, fileobj_or_path: Any) -> None:
        """Write settings, factors and priors to an ``.npz`` without pickle, which implicit can load as well."""
        settings = {name: value for name, value in self.get_params().items() if name not in ("solver", "rng")}
        if isinstance(self.rng, int | np.integer):
            settings["random_state"] = self.rng
        arrays = {
            "user_factors": self.user_factors,
            "item_factors": self.item_factors,
            "use_cg": self.solver == "cg",
            "user_regularization_": self.user_regularization_,
            "item_regularization_": self.item_regularization_,
        }
        for side, prior in (("user", self.user_prior_), ("item", self.item_prior_)):
            for name in ("mean", "precision", "shared", "origin"):
                arrays[f"{side}_prior_{name}"] = getattr(prior, name, None)
        np.savez(fileobj_or_path, **{k: v for k, v in {**settings, **arrays}.items() if v is not None})

    @classmethod
    def load(cls, fileobj_or_path: Any) -> PriorALS:
        """Read what `save` wrote, priors included."""
        if isinstance(fileobj_or_path, str) and not fileobj_or_path.endswith(".npz"):
            fileobj_or_path += ".npz"
        with np.load(fileobj_or_path, allow_pickle=False) as file:
            arrays = dict(file)
        try:
            names = ("factors", "regularization", "alpha", "iterations", "cg_steps", "num_threads")
            settings = {name: arrays[name].item() for name in names}
            rng = arrays["random_state"].item() if "random_state" in arrays else None
            solver = "cg" if arrays["use_cg"].item() else "cholesky"
            model = cls(**settings, solver=solver, rng=rng)
            if "user_factors" in arrays:
                model._store(arrays["user_factors"], arrays["item_factors"])
                model._learned = (model.user_factors, model.item_factors)
            for side in ("user", "item"):
                ridge = arrays.get(f"{side}_regularization_", arrays["regularization"])
                setattr(model, f"{side}_regularization_", ridge.item())
                setattr(model, f"{side}_prior_", _read_prior(arrays, f"{side}_prior_"))
        except KeyError as missing:
            raise ArtefactError(f"not a saved PriorALS: the file holds no {missing}") from None
        return model

    def _check_settings(self) -> None:
        if self.solver not in ("cg", "cholesky"):
            raise ValueError(f'solver must be "cg" or "cholesky", got {self.solver!r}')
        for name, least in (("factors", 1), ("iterations", 0), ("cg_steps", 1)):
            value = getattr(self, name)
            if value < least or value != int(value):
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        for name in ("regularization", "alpha"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0:
                raise ValueError(f"{name} must be finite and not negative, got {value!r}")

    def _confidence(
        self, matrix: Any, *, rows: int | None = None, columns: int | None = None
    ) -> sp.csr_matrix:
        """``alpha * matrix`` in float32, canonical, in arrays of its own; shapes checked where they are known."""
        if not sp.issparse(matrix):
            raise TypeError(f"expected a scipy sparse matrix, got {type(matrix).__name__}")
        if rows is not None and matrix.shape[0] != rows:
            raise ValueError(f"the matrix has {matrix.shape[0]} rows for {rows} ids: give one row per id")
        if columns is not None and matrix.shape[1] != columns:
            raise ValueError(f"the matrix has {matrix.shape[1]} columns but the model knows {columns}")
        confidence = sp.csr_matrix(matrix, dtype=np.float32, copy=True)
        confidence.sum_duplicates()
        confidence.eliminate_zeros()
        bad = np.count_nonzero(~np.isfinite(confidence.data))
        if bad:
            raise ValueError(f"the matrix holds {bad} values that are NaN or inf (as float32): remove or clip them")
        confidence.data *= np.float32(self.alpha)
        return confidence

    def _starting_factors(self, n_users: int, n_items: int) -> tuple[Floats, Floats]:
        """What the caller assigned, else implicit's random start: users are drawn first, then items."""
        rng = np.random.default_rng(self.rng)
        starts = []
        for name, n, learned in zip(
            ("user_factors", "item_factors"), (n_users, n_items), self._learned, strict=True
        ):
            given = getattr(self, name)
            if given is None or given is learned:
                starts.append(rng.random((n, self.factors), dtype=np.float32) * np.float32(0.01))
            else:
                starts.append(_checked_factors(given, n, self.factors, name))
        return starts[0], starts[1]

    def _solve(
        self,
        confidence: sp.csr_matrix,
        other: Floats,
        regularization: float,
        prior: Prior | None,
        start: Floats | None = None,
    ) -> Floats:
        return solve_rows(
            confidence,
            other,
            regularization=regularization,
            prior=prior,
            start=start,
            solver="cholesky" if start is None else self.solver,
            cg_steps=self.cg_steps,
            num_threads=self.num_threads,
        )

    def _store(self, users: Floats, items: Floats) -> None:
        self.user_factors, self.item_factors = users, items
        self._user_norms = self._item_norms = self._XtX = self._YtY = None


def _prior_of(prior: Prior | None, ids: Any) -> Prior | None:
    """The prior's rows for some row numbers; rows beyond its end are known nothing of."""
    if prior is None:
        return None
    ids = np.atleast_1d(ids)
    return prior.pad(int(ids.max(initial=-1)) + 1).take(ids)


def _read_prior(arrays: dict[str, Any], prefix: str) -> Prior | None:
    if f"{prefix}mean" not in arrays:
        return None
    named = {name: arrays.get(prefix + name) for name in ("mean", "precision", "shared", "origin")}
    return Prior(**named)


def _checked_factors(factors: ArrayLike, n: int, d: int, name: str) -> Floats:
    array = np.array(factors, dtype=np.float32, order="C")
    if array.shape != (n, d):
        raise ValueError(f"{name} must be ({n}, {d}), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or inf")
    return array


def _check_finite(users: Floats, items: Floats, when: str) -> None:
    for name, factors in (("user", users), ("item", items)):
        bad = np.count_nonzero(~np.isfinite(factors).all(axis=1))
        if bad:
            raise FitError(
                f"{bad} {name} factors became NaN or inf in {when}: "
                "raise the regularization, or lower alpha or the weights"
            )
