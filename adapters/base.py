"""What an adapter is: source embeddings in, a prior over target embeddings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart.errors import AnchorError
from coldstart.prior import Prior, all_finite
from coldstart.threads import run_blocks

__all__ = [
    "BLOCK",
    "Adapter",
    "AnchorContext",
    "Moments",
    "Settled",
    "Tunable",
    "anchor_arrays",
    "check_adapter",
    "check_fitted",
    "check_parts",
    "check_size",
    "embeddings",
    "folds_of",
    "in_one_space",
    "reads_features",
    "scaled",
    "score_metric",
    "spelled_out",
    "sphere",
    "worth_of_mean",
]

Array = NDArray[np.float64]
Rows = NDArray[np.floating]

BLOCK = 4096  # rows that are worked on at one time
_SAMPLE = 1024  # rows of which a provisional mean is taken
_LOOKED_THROUGH = 1024  # anchors, about, on which source columns are looked through
_CONSTANT = 1e-6  # range of a constant column, as a share of its largest value
_ROOM = 4096.0  # times that values have to stay below those whose squares overflow
_BESIDE = ("source_rows", "target_rows", "features")  # of a context: row by row
_COLLINEAR = 1e-10  # smallest eigenvalue of a correlation matrix without collinear columns


@dataclass(frozen=True, eq=False)
class AnchorContext:
    """Arrays for adapters that need more than embeddings; each may be missing.

    Rows are those of the embeddings passed beside it (n rows), unless it says otherwise.
    """

    source_rows: sp.csr_matrix | None = None
    """Source interactions (n, n_source_columns)."""
    target_rows: sp.csr_matrix | None = None
    """Target interactions (n, n_target_columns)."""
    other_factors: NDArray[Any] | None = None
    """Target factors of the other side (n_target_columns, d_target): the metric in which errors
    become scores.
    """
    alpha: float | None = None
    """Confidence of a target interaction of value 1."""
    features: Any = None
    """Features (n, n_features), dense or sparse."""
    target_covariance: Array | None = None
    """Mean posterior covariance (d_target, d_target) of the anchors' target embeddings, which are
    estimates.
    """
    mean: Array | None = None
    """Mean (d_target,) of *all* target embeddings, not of the anchors alone."""
    covariance: Array | None = None
    """Covariance (d_target, d_target) of all target embeddings."""
    source_covariance: Array | None = None
    """Covariance (d_source, d_source) of *all* source embeddings: few anchors do not show their
    principal directions.
    """

    def take(self, rows: NDArray[Any]) -> AnchorContext:
        """The context of some of the rows, by position or boolean mask."""
        parts = {
            name: None if (value := getattr(self, name)) is None else value[rows]
            for name in _BESIDE
        }
        return replace(self, **parts)

    def check_rows(self, n: int) -> None:
        """Refuse what does not bring a row for each of `n` embeddings."""
        for name in _BESIDE:
            value = getattr(self, name)
            if value is not None and value.shape[0] != n:
                raise ValueError(
                    f"context.{name} must have a row for each of the {n} embeddings, in their "
                    f"order, got {value.shape[0]}"
                )

    def check_target(self, width: int) -> None:
        """Refuse what does not fit target embeddings of that `width`, or is not finite."""
        shapes = {
            "other_factors": (None, width),
            "target_covariance": (width, width),
            "mean": (width,),
            "covariance": (width, width),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is None:
                continue
            found = np.shape(value)
            wanted = tuple(f if w is None else w for f, w in zip(found, shape, strict=False))
            if len(found) != len(shape) or found != wanted:
                raise ValueError(
                    f"context.{name} must be {str(shape).replace('None', 'n')}, target embeddings "
                    f"being {width} wide, got an array of shape {found}"
                )
            if not all_finite(np.asarray(value)):
                raise ValueError(f"context.{name} holds NaN or inf")


@runtime_checkable
class Adapter(Protocol):
    """Learns from anchors, rows that both catalogs have. It knows no ids, files or models.

    An adapter may say more of itself by attributes of its class: ``needs_anchors = False``, where
    it is of use without any, ``unpaired = True``, where the rows it is fitted on need not
    correspond: `WarmStart` then hands it all active rows of both catalogs, ``reads_features =
    True``, where it says something of rows by ``context.features`` alone, their source row being
    zeros, and ``one_space = True``, where source and target are equally wide, column by column the
    same.
    """

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> Adapter:
        """Learn from embeddings of the same n rows: `source` (n, d_source), `target` (n, d_target),
        `weight` (n,).
        """
        ...

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The prior over target embeddings of rows known by their `source` embeddings (m,
        d_source).
        """
        ...


class Settled(Protocol):
    """An adapter that can be made again from its settings, and shows them."""

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        ...

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({settings})"


Known = TypeVar("Known", bound=Settled)


@runtime_checkable
class Tunable(Protocol):
    """An adapter with settings left open, which held-out people should choose."""

    def candidates(self) -> Sequence[Adapter]:
        """Unfitted adapters with every setting decided."""
        ...


def reads_features(adapter: Adapter) -> bool:
    """Whether an adapter says something of rows that have features and no source row; it has the
    attribute `reads_features` then.
    """
    return bool(getattr(adapter, "reads_features", False))


def in_one_space(adapter: Adapter) -> bool:
    """Whether an adapter takes source and target for one space: its rows must come as they are."""
    return bool(getattr(adapter, "one_space", False))


def check_adapter(given: Any, name: str = "adapter") -> None:
    """Refuse what is no adapter, a class of them too."""
    if isinstance(given, type) or not isinstance(given, Adapter):
        raise TypeError(
            f"{name} must be an object with fit and predict, got {given!r}: "
            "pass one, for example RidgeAdapter()"
        )


def check_parts(given: Any, who: str, *, least: int) -> None:
    """Refuse what is no sequence of at least so many adapters."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(
            f"{who} takes a sequence of adapters, got {given!r}: "
            "pass some, for example [RidgeAdapter(), KernelAdapter()]"
        )
    if len(given) < least:
        raise ValueError(f"{who} needs at least {least} of adapters, got {len(given)}: pass more")
    for place, part in enumerate(given):
        check_adapter(part, f"adapters[{place}] of {who}")


def spelled_out(adapter: Known, **choices: Sequence[Any]) -> list[Known]:
    """Copies of an unfitted adapter, one for every combination of the values that some of its
    settings may take; those of the last setting change first.
    """
    return [
        type(adapter)(**{**adapter.get_params(), **dict(zip(choices, values, strict=True))})
        for values in product(*choices.values())
    ]


def anchor_arrays(
    source: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    *,
    who: str | None = None,
    context: AnchorContext | None = None,
) -> tuple[Rows, Rows, Array]:
    """Both embeddings and the weights, checked; an anchor of weight 2 is two anchors.

    `who` names an adapter that learns a map: it needs two anchors, and source columns that vary and
    are not combinations of each other. A `context` has to fit the embeddings.
    """
    s, t = embeddings(source, "source"), embeddings(target, "target")
    if len(s) != len(t):
        raise ValueError(
            f"source has {len(s)} rows but target has {len(t)}: "
            "pass the anchors of both in the same order"
        )
    check_size(s, "source")
    check_size(t, "target")
    if context is not None:
        context.check_rows(len(s))
        context.check_target(t.shape[1])
    w = np.broadcast_to(1.0, len(s)) if weight is None else np.asarray(weight, np.float64)
    if w.shape != (len(s),):
        raise ValueError(f"weight must have shape ({len(s)},), one per anchor, got {w.shape}")
    if not all_finite(w) or w.min(initial=0.0) < 0:
        raise ValueError("weight must be finite and not negative")
    if len(w) and not w.any():
        raise ValueError("all weights are 0: no anchor is left")
    if who is not None:
        _check_learnable(s, w, who)
    return s, t, w


def check_size(rows: Rows, name: str) -> None:
    """Refuse values whose squares cannot be added up in their own precision."""
    precision = np.finfo(rows.dtype)
    most, least = np.sqrt([precision.max, precision.tiny]) * [1 / _ROOM, _ROOM]
    largest = float(max(rows.max(initial=0.0), -rows.min(initial=0.0)))
    if largest > most or 0 < largest < least:
        raise ValueError(
            f"{name} holds values up to {largest:.2g} in {rows.dtype}, whose squares are too "
            f"{'large' if largest > most else 'small'} to add up: divide all its rows by one "
            f"number, so that the largest lies between {least:.2g} and {most:.2g}"
        )


def _check_learnable(source: Rows, weight: Array, who: str) -> None:
    """Two anchors at least, and columns that say something each, seen on evenly spaced rows."""
    counted = np.flatnonzero(weight)
    if len(counted) < 2:
        raise AnchorError(
            f"{who} needs at least 2 anchors, rows known on both sides: it got {len(counted)}"
        )
    rows = source[counted[:: -(-len(counted) // _LOOKED_THROUGH)]].astype(np.float64)
    largest = np.abs(rows).max(axis=0)
    constant = np.flatnonzero(np.ptp(rows, axis=0) <= _CONSTANT * largest)
    if len(constant):
        raise AnchorError(
            f"{len(constant)} of {rows.shape[1]} source columns are constant over the anchors, "
            f"the first is column {constant[0]}: leave them out, an adapter has an intercept"
        )
    if len(rows) < 2 * rows.shape[1]:  # so few rows may be combinations of each other by chance
        return
    rows /= largest
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    smallest = np.linalg.eigvalsh(rows.T @ rows / len(rows))[0]
    if smallest < _COLLINEAR:
        raise AnchorError(
            f"the {rows.shape[1]} source columns are collinear, some are combinations of others: "
            "use fewer factors, or project the rows onto their principal components"
        )


def folds_of(source: Rows, target: Rows, weight: Array, count: int) -> NDArray[np.int64]:
    """The fold (n,) of every anchor, 0 to `count` - 1, for cross-validation.

    It follows from the values alone: the order of the anchors does not matter, equal anchors share
    a fold, and anchors of weight 0 do not move the others.
    """
    rows = np.hstack([source, target]).astype(np.float64)
    different = np.unique(rows[weight > 0], axis=0, return_inverse=True)[1]
    folds = np.zeros(len(rows), np.int64)
    folds[weight > 0] = different.reshape(-1) % count
    return folds


def score_metric(context: AnchorContext, width: int) -> Array:
    """``Y'Y`` (width, width), in which errors of embeddings become errors of scores; the identity
    where the context brings no factors of the other side.
    """
    factors = context.other_factors
    if factors is None:
        return np.eye(width)
    gram = np.zeros((width, width))

    def work(start: int, stop: int) -> Array:
        rows = np.asarray(factors[start:stop], np.float64)
        return rows.T @ rows

    run_blocks(work, len(factors), block=BLOCK, collect=lambda part: np.add(gram, part, out=gram))
    return gram


def worth_of_mean(context: AnchorContext, pseudo_anchors: float) -> float:
    """How many anchors the mean over all target rows is worth: none where it is not known."""
    return 0.0 if context.mean is None else pseudo_anchors


def sphere(covariance: Array) -> Array:
    """``s^2 I`` with the average variance of `covariance` (d, d), or 1 where there is none."""
    d = len(covariance)
    return np.eye(d) * ((np.trace(covariance) / d) or 1.0)


def check_fitted(adapter: Adapter, learned: str) -> None:
    """Raise where `adapter` has not yet `learned` the attribute of that name."""
    if not hasattr(adapter, learned):
        raise ValueError(
            f"this {type(adapter).__name__} is not fitted: call fit(source, target) first"
        )


def embeddings(
    values: ArrayLike,
    name: str,
    width: int | None = None,
    context: AnchorContext | None = None,
) -> Rows:
    """An embedding matrix (n, d), finite, and `width` wide where that is known; a `context` has to
    have as many rows.

    Single and double precision are taken as they are, anything else is converted to float64.
    """
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim != 2:
        raise ValueError(f"{name} must be (n, d), got an array of shape {array.shape}")
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{name} is {array.shape[1]} wide but the adapter was fitted on {width}")
    if not all_finite(array):
        raise ValueError(f"{name} holds NaN or inf")
    if context is not None:
        context.check_rows(len(array))
    return array


def scaled(rows: Rows, on: bool) -> Rows:
    """The rows divided by their lengths where that is `on`; a row of zeros stays."""
    if not on:
        return rows
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows / np.where(lengths > 0, lengths, 1)


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted moments of anchors ``c_u = [s_u, t_u]``, source and target row side by side.

    `count` n is the sum of the weights, `mean` (d_source + d_target,) that of the c, and
    ``scatter = sum_u w_u (c_u - mean)(c_u - mean)'`` (d_source + d_target, d_source + d_target).
    """

    count: float
    mean: Array
    scatter: Array

    @classmethod
    def of(cls, source: Rows, target: Rows, weight: Array, *, normalize: bool) -> Moments:
        """Add up the moments block by block; source rows have length 1 where `normalize`.

        The rows of a block are shifted by a provisional mean, so that little cancels, and
        multiplied in the precision of the inputs; blocks are added in float64 and in their order,
        whatever the number of threads. Memory: a block per thread and the moments.
        """
        dtype = np.result_type(source, target)
        shift = _provisional_mean(source, target, weight, normalize).astype(dtype)
        first = np.zeros(len(shift))
        second = np.zeros((len(shift), len(shift)))

        def work(start: int, stop: int) -> tuple[Rows, Rows]:
            root = np.sqrt(weight[start:stop]).astype(dtype)
            rows = _side_by_side(source[start:stop], target[start:stop], normalize, shift)
            if (root != 1).any():
                rows *= root[:, None]
            return root @ rows, rows.T @ rows

        def collect(sums: tuple[Rows, Rows]) -> None:
            np.add(first, sums[0], out=first)
            np.add(second, sums[1], out=second)

        run_blocks(work, len(weight), block=BLOCK, collect=collect)
        count = float(weight.sum())
        off = first / count  # how far the mean is from the provisional one
        return cls(count, shift + off, second - count * np.outer(off, off))


def _side_by_side(source: Rows, target: Rows, normalize: bool, shift: Rows) -> Rows:
    """Rows ``[s_u, t_u] - shift`` (n, d_source + d_target)."""
    width = source.shape[1]
    rows = np.empty((len(source), width + target.shape[1]), np.result_type(source, target))
    np.subtract(scaled(source, normalize), shift[:width], out=rows[:, :width])
    np.subtract(target, shift[width:], out=rows[:, width:])
    return rows


def _provisional_mean(source: Rows, target: Rows, weight: Array, normalize: bool) -> Array:
    """The mean of some of the rows, evenly spaced."""
    some = slice(None, None, -(-len(weight) // _SAMPLE))
    rows = np.hstack([scaled(source[some], normalize), target[some]])
    w = weight[some]
    return np.average(rows, axis=0, weights=w if w.any() else None).astype(np.float64)
