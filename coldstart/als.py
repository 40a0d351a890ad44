"""Implicit ALS with a prior around every row: implicit's model, warm-started in the objective."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from coldstart.errors import ArtefactError
from coldstart.prior import Prior
from coldstart.rows import checked_factors, gram_matrix, prior_parts, solve_into, solve_rows
from coldstart.threads import one_blas_thread

__all__ = ["PriorALS"]

Floats = NDArray[np.float32]

OTHER = {"user": "item", "item": "user"}
SETTINGS = ("factors", "regularization", "alpha", "iterations", "cg_steps", "num_threads")


class PriorALS(AlternatingLeastSquares):  # type: ignore[misc]
    """Implicit ALS with a Gaussian prior around user or item rows; without one, implicit's ALS.

    Minimises, over user rows x_u and item rows y_i, ::

        sum_ui c_ui (p_ui - x_u'y_i)^2 + R (sum_u |x_u|^2 + sum_i |y_i|^2)
            + sum_u (x_u - m_u)' L_u (x_u - m_u)  [+ the same for items]

    with ``c = alpha * value`` and p = 1 on observed pairs, c = 1 and p = 0 elsewhere. A row without
    interactions and with a prior *is* its prior mean; without a prior it is zero.

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
        Assigned before `fit`, they are where the sweeps start (they are copied). What this object
        has learned before is not: refitting equals a fresh fit.
    user_prior_, item_prior_ : Prior or None
        Kept for `recalculate_user`, `partial_fit_users`, `explain` and their item forms.
    user_regularization_, item_regularization_ : float
        The ridge of each side.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets.
    Takacs, Pilaszy and Tikk (2011), Applications of the Conjugate Gradient Method for Implicit
    Feedback Collaborative Filtering.

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
        with one_blas_thread():  # implicit warns where BLAS has more, which it never has at work
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
        self._learned: dict[str, Floats | None] = {}
        for side in OTHER:
            self._store(side, None, None, regularization)

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {name: getattr(self, name) for name in (*SETTINGS, "solver", "rng")}

    def clone(self) -> PriorALS:
        """An unfitted model with the same settings."""
        return type(self)(**self.get_params())

    def restore(
        self, users: ArrayLike, items: ArrayLike, user_prior: Prior, user_regularization: float
    ) -> PriorALS:
        """Put back the state of a fitted and conditioned model, for example from a file."""
        users = checked_factors(users, len(np.asarray(users)), self.factors, "user_factors")
        items = checked_factors(items, len(np.asarray(items)), self.factors, "item_factors")
        self._store("user", users, user_prior, user_regularization)
        self._store("item", items, None, self.regularization)
        return self

    def swapped(self) -> PriorALS:
        """The model of the transposed matrix: factors, priors and ridges change sides."""
        other = self.clone()
        for side, opposite in OTHER.items():
            other._store(side, *self._side(opposite))
        return other

    def fit(
        self,
        user_items: sp.csr_matrix,
        *,
        user_prior: Prior | None = None,
        item_prior: Prior | None = None,
        show_progress: bool = True,
        callback: Callable[[int, float, None], None] | None = None,
    ) -> PriorALS:
        """Factorise ``user_items`` (n_users, n_items) of any number type; inputs are never changed.

        Beside inputs and factors, memory is needed for the transposed matrix, and for a copy of the
        values where they are not float32 (of the whole matrix where it holds duplicates or zeros).

        A prior has one row per row of its side, or a single row for everybody. With a prior, `fit`
        ends with one exact solve of that side, so that its rows are what `fold_in` computes. A
        prior of zero precision is none.

        Raises
        ------
        ValueError
            When shapes or settings do not fit, or the matrix holds NaN or inf.
        FitError
            When factors become non-finite.
        """
        self._check_settings()
        user_items = self._checked_matrix(user_items)
        item_users = user_items.T.tocsr()
        prior_parts(user_prior, user_items.shape[0], self.factors)
        prior_parts(item_prior, user_items.shape[1], self.factors)
        users, items = self._starting_factors(*user_items.shape)
        ridge = self.regularization

        def solve(side: str, when: str, solver: str) -> None:
            out, matrix, other, prior = (
                (users, user_items, items, user_prior)
                if side == "user"
                else (items, item_users, users, item_prior)
            )
            settings = self._settings(f"{side} factors {when}", ridge, solver)
            solve_into(out, matrix, other, prior=prior, **settings)

        for sweep in tqdm(range(self.iterations), disable=not show_progress):
            began = time.perf_counter()
            for side in ("user", "item"):
                solve(side, f"in sweep {sweep + 1} of {self.iterations}", self.solver)
            if callback is not None:
                callback(sweep, time.perf_counter() - began, None)
        for side, prior in (("item", item_prior), ("user", user_prior)):
            if _pulls(prior):
                solve(side, "in the last step", "cholesky")
        self._store("user", users, user_prior, ridge)
        self._store("item", items, item_prior, ridge)
        return self

    def condition_users(
        self, user_items: sp.csr_matrix, prior: Prior, *, regularization: float | None = None
    ) -> PriorALS:
        """Give the users of a fitted model a prior: their rows are solved exactly, items stay.

        `user_items` (n, n_items) and `prior` (n rows) may have more rows than the model was fitted
        on. `regularization` replaces the ridge of the user side (0 leaves it all to the prior).
        """
        return self._condition("user", user_items, prior, regularization)

    def condition_items(
        self, item_users: sp.csr_matrix, prior: Prior, *, regularization: float | None = None
    ) -> PriorALS:
        """As `condition_users`, for items; `item_users` is (n, n_users)."""
        return self._condition("item", item_users, prior, regularization)

    def fold_in(
        self,
        user_items: sp.csr_matrix,
        *,
        prior: Prior | None = None,
        start: ArrayLike | None = None,
    ) -> Floats:
        """Rows (n, d) of users who need not be in the model, from their interactions and prior.

        Exact; given `start` (n, d), a model with ``solver="cg"`` takes its conjugate gradient steps
        from there, as in training. Nothing is stored.
        """
        items = self._other_factors("user")
        user_items = self._checked_matrix(user_items)
        return self._solve("rows", user_items, items, self.user_regularization_, prior, start)

    def recalculate_user(self, userid: Any, user_items: sp.csr_matrix) -> Floats:
        """Rows of users from other interactions, under the users' own priors; nothing is stored."""
        rows = self._recalculate("user", userid, user_items)
        return rows.reshape(-1) if np.isscalar(userid) else rows

    def recalculate_item(self, itemid: Any, item_users: sp.csr_matrix) -> Floats:
        """Rows of items from other interactions, under the items' own priors; nothing is stored."""
        rows = self._recalculate("item", itemid, item_users)
        return rows.reshape(-1) if np.isscalar(itemid) else rows

    def partial_fit_users(self, userids: ArrayLike, user_items: sp.csr_matrix) -> None:
        """Store what `recalculate_user` computes; users beyond the last known one are added."""
        self._partial_fit("user", userids, user_items)

    def partial_fit_items(self, itemids: ArrayLike, item_users: sp.csr_matrix) -> None:
        """Store what `recalculate_item` computes; items beyond the last known one are added."""
        self._partial_fit("item", itemids, item_users)

    def explain(
        self,
        userid: int,
        user_items: sp.csr_matrix,
        itemid: int,
        user_weights: Any = None,
        N: int = 10,
    ) -> tuple[float, list[tuple[int, float]], Any]:
        """What each liked item adds to a score, as in implicit; the prior adds to the total."""
        items = self._other_factors("user")
        liked = self._checked_matrix(sp.csr_matrix(user_items)[[userid]])
        confidence = liked.data * np.float32(self.alpha)
        item, y = (items[i].astype(np.float64) for i in (itemid, liked.indices))
        mean, pull = self._pull_of_user(userid)
        if user_weights is None:
            a = gram_matrix(items) + self.user_regularization_ * np.eye(self.factors)
            user_weights = scipy.linalg.cho_factor(a + (y.T * (np.abs(confidence) - 1)) @ y + pull)
        weighted = scipy.linalg.cho_solve(user_weights, item)
        shares = np.maximum(confidence, 0) * (y @ weighted)
        # a row without interactions is its prior mean, in every dimension the prior knows of
        rest = weighted @ pull @ mean if liked.nnz else item @ np.where(np.diag(pull) > 0, mean, 0)
        top = [e for e in np.argsort(-shares, kind="stable") if confidence[e] > 0][:N]
        contributions = [(int(liked.indices[e]), float(shares[e])) for e in top]
        return float(shares.sum() + rest), contributions, user_weights

    def to_gpu(self) -> Any:
        """implicit's GPU model, which knows no priors: refused while a prior is in use."""
        if self.user_prior_ is not None or self.item_prior_ is not None:
            raise ValueError("implicit's GPU model would forget the prior: fit without one first")
        return super().to_gpu()

    def save(self, fileobj_or_path: Any) -> None:
        """Write settings, factors and priors to an ``.npz`` without pickle; implicit can load it.

        Of `rng` only a number is kept.
        """
        arrays = self.get_params()
        arrays["use_cg"] = arrays.pop("solver") == "cg"
        seed = arrays.pop("rng")
        arrays["random_state"] = seed if isinstance(seed, int | np.integer) else None
        for side in OTHER:
            factors, prior, ridge = self._side(side)
            arrays |= {f"{side}_factors": factors, f"{side}_regularization_": ridge}
            for name in ("mean", "precision", "shared", "origin"):
                arrays[f"{side}_prior_{name}"] = getattr(prior, name, None)
        np.savez(fileobj_or_path, **{k: v for k, v in arrays.items() if v is not None})

    @classmethod
    def load(cls, fileobj_or_path: Any) -> PriorALS:
        """Read what `save` wrote, priors included, or what implicit's own ALS saved.

        Raises
        ------
        ArtefactError
            When the file is damaged or holds something else.
        """
        try:
            return cls._from_arrays(_read_arrays(fileobj_or_path))
        except KeyError as missing:
            raise ArtefactError(f"not a saved PriorALS: the file holds no {missing}") from None
        except (EOFError, ValueError, zipfile.BadZipFile) as error:
            raise ArtefactError(f"not a saved PriorALS, or a damaged one: {error}") from None

    @classmethod
    def _from_arrays(cls, arrays: dict[str, Any]) -> PriorALS:
        settings = {name: arrays[name].item() for name in SETTINGS}
        if "random_state" in arrays:
            settings["rng"] = arrays["random_state"].item()
        model = cls(**settings, solver="cg" if arrays["use_cg"].item() else "cholesky")
        for side in OTHER:
            factors = arrays.get(f"{side}_factors")
            if factors is not None:
                factors = checked_factors(factors, len(factors), model.factors, f"{side}_factors")
            prior = {
                name.removeprefix(f"{side}_prior_"): array
                for name, array in arrays.items()
                if name.startswith(f"{side}_prior_")
            }
            ridge = arrays.get(f"{side}_regularization_", arrays["regularization"]).item()
            model._store(side, factors, Prior(**prior) if prior else None, ridge)
        return model

    def _check_settings(self) -> None:
        if self.solver not in ("cg", "cholesky"):
            raise ValueError(f'solver must be "cg" or "cholesky", got {self.solver!r}')
        for name, least in (("factors", 1), ("iterations", 0), ("cg_steps", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} must be a whole number from {least} on, got {value!r}")
        for name in ("regularization", "alpha"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0:
                raise ValueError(f"{name} must be finite and not negative, got {value!r}")

    def _checked_matrix(self, matrix: Any) -> sp.csr_matrix:
        """The matrix as canonical CSR of float32 without zeros, not copied where it is that."""
        if not sp.issparse(matrix):
            raise TypeError(f"expected a scipy sparse matrix, got {type(matrix).__name__}")
        with np.errstate(over="ignore"):
            canonical = sp.csr_matrix(matrix, dtype=np.float32)
            if canonical.indices.dtype != np.int32:  # it becomes that where the numbers fit
                parts = canonical.data, canonical.indices, canonical.indptr
                canonical = sp.csr_matrix(parts, canonical.shape)
            if (
                not canonical.has_canonical_format
                or np.count_nonzero(canonical.data) < canonical.nnz
            ):
                canonical = canonical.copy()
                canonical.sum_duplicates()
                canonical.eliminate_zeros()
            extremes = [canonical.data.min(), canonical.data.max()] if canonical.nnz else []
            finite = np.isfinite(np.float32(self.alpha) * np.array(extremes, np.float32)).all()
            if not finite:
                bad = np.count_nonzero(~np.isfinite(canonical.data * np.float32(self.alpha)))
                raise ValueError(
                    f"the matrix holds {bad} values that, times alpha, are NaN or inf in float32: "
                    "remove or clip them"
                )
        return canonical

    def _starting_factors(self, n_users: int, n_items: int) -> tuple[Floats, Floats]:
        """What the caller assigned, else implicit's random start: users are drawn first."""
        rng = np.random.default_rng(self.rng)
        starts = []
        for side, n in (("user", n_users), ("item", n_items)):
            given = self._side(side)[0]
            if given is None or given is self._learned[side]:
                drawn = rng.random((n, self.factors), dtype=np.float32)
                drawn *= np.float32(0.01)
                starts.append(drawn)
            else:
                starts.append(checked_factors(given, n, self.factors, f"{side}_factors"))
        return starts[0], starts[1]

    def _solve(
        self,
        what: str,
        matrix: sp.csr_matrix,
        other: Floats,
        regularization: float,
        prior: Prior | None,
        start: ArrayLike | None = None,
    ) -> Floats:
        """Rows by the model's solver from `start`, or exact ones where there is none."""
        solver = "cholesky" if start is None else self.solver
        settings = self._settings(what, regularization, solver)
        return solve_rows(matrix, other, prior=prior, start=start, **settings)

    def _settings(self, what: str, regularization: float, solver: str) -> dict[str, Any]:
        """How this model solves rows."""
        return {
            "alpha": self.alpha,
            "regularization": regularization,
            "solver": solver,
            "cg_steps": self.cg_steps,
            "num_threads": self.num_threads,
            "what": what,
        }

    def _condition(
        self, side: str, matrix: sp.csr_matrix, prior: Prior, regularization: float | None
    ) -> PriorALS:
        ridge = self.regularization if regularization is None else regularization
        other = self._other_factors(side)
        rows = self._solve(f"{side} factors", self._checked_matrix(matrix), other, ridge, prior)
        self._store(side, rows, prior, ridge)
        return self

    def _recalculate(self, side: str, ids: Any, matrix: sp.csr_matrix) -> Floats:
        other = self._other_factors(side)
        matrix = self._checked_matrix(matrix)
        n = matrix.shape[0]
        if n != np.size(ids):
            raise ValueError(
                f"the matrix has {n} rows for {np.size(ids)} row numbers: give one row for each"
            )
        _, prior, ridge = self._side(side)
        return self._solve(f"{side} factors", matrix, other, ridge, _prior_of(prior, ids))

    def _partial_fit(self, side: str, ids: ArrayLike, matrix: sp.csr_matrix) -> None:
        ids = _row_numbers(ids)
        rows = self._recalculate(side, ids, matrix)
        factors, prior, ridge = self._side(side)
        between = np.arange(len(factors), ids.max(initial=-1) + 1)  # new rows, given here or not
        nothing = sp.csr_matrix((len(between), matrix.shape[1]))
        factors = np.concatenate([factors, self._recalculate(side, between, nothing)])
        factors[ids] = rows
        self._store(side, factors, prior, ridge)

    def _pull_of_user(self, userid: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Mean (d,) and precision matrix (d, d) of a user's prior, zeros where there is none."""
        prior = _prior_of(self.user_prior_, userid)
        if prior is None:
            return np.zeros(self.factors), np.zeros((self.factors, self.factors))
        return prior.mean[0], prior.matrices(slice(1))[0]

    def _other_factors(self, side: str) -> Floats:
        factors: Floats | None = self._side(OTHER[side])[0]
        if factors is None:
            raise ValueError(f"the model has no {OTHER[side]} factors yet: call fit first")
        return factors

    def _side(self, side: str) -> tuple[Any, Prior | None, float]:
        """Factors, prior and ridge of one side."""
        names = (f"{side}_factors", f"{side}_prior_", f"{side}_regularization_")
        factors, prior, ridge = (getattr(self, name) for name in names)
        return factors, prior, ridge

    def _store(self, side: str, factors: Floats | None, prior: Prior | None, ridge: float) -> None:
        setattr(self, f"{side}_factors", factors)
        setattr(self, f"{side}_prior_", prior)
        setattr(self, f"{side}_regularization_", ridge)
        self._learned[side] = factors
        self._user_norms = self._item_norms = self._XtX = self._YtY = None


def _pulls(prior: Prior | None) -> bool:
    """Whether there is a prior, and its precision is not zero everywhere."""
    if prior is None:
        return False
    row, spread, shared = prior.parts()
    return bool(row.any() and (spread.any() or shared.any()))


def _prior_of(prior: Prior | None, ids: Any) -> Prior | None:
    """The prior of some row numbers: a single row is everybody's, beyond the last is nothing."""
    if prior is None or len(prior) == 1:
        return prior
    ids = _row_numbers(ids)
    return prior.pad(ids.max(initial=-1) + 1).take(ids)


def _row_numbers(ids: ArrayLike) -> NDArray[np.int64]:
    numbers = np.atleast_1d(ids)
    if numbers.size and (numbers.dtype.kind not in "iu" or numbers.min() < 0):
        raise ValueError(f"expected row numbers from 0 on, got {ids!r}")
    return numbers.astype(np.int64)


def _read_arrays(fileobj_or_path: Any) -> dict[str, Any]:
    if isinstance(fileobj_or_path, str | os.PathLike):
        path = os.fspath(fileobj_or_path)
        with open(path if path.endswith(".npz") else f"{path}.npz", "rb") as file:
            return _read_arrays(file)
    arrays = np.load(fileobj_or_path, allow_pickle=False)
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise ValueError("the file is a single array")
    return dict(arrays)
