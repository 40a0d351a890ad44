"""The adapter that is chosen among others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.errors import AnchorError
from coldstart.prior import Prior

from .base import (
    Adapter,
    AnchorContext,
    Array,
    Settled,
    anchor_arrays,
    check_fitted,
    check_parts,
    folds_of,
    score_metric,
)
from .canonical import CanonicalAdapter
from .kernel import KernelAdapter
from .linear import RidgeAdapter
from .neighbour import NeighbourAdapter
from .task import TaskAdapter

__all__ = ["AutoAdapter"]

FOLDS = 5
FEWEST = 10  # people who may be held out: fewer choose nothing


class AutoAdapter(Settled):
    """The best of some adapters, chosen on anchors that it has not seen.

    By default these are ten settings of five families: `CanonicalAdapter`, `RidgeAdapter`,
    `KernelAdapter`, `NeighbourAdapter` and `TaskAdapter`. Others are compared where they are given:
    ``AutoAdapter([RidgeAdapter(1.0), RegressorAdapter(), ProcrustesAdapter()])``.

    Inside `WarmStart` held-out people choose, by the quality of their ranked lists: the adapter and
    its settings, means of some adapters, the source and the target model (confidence, ridge and
    width), how strongly to pull, and a blend with the row map; the arms that know no source are
    tuned as hard. With features `ContentAdapter` is tried too, unless `adapters` have one that
    reads them. Fitted alone it has embeddings only, and takes the adapter with the least
    cross-validated squared error of scores (the metric Y'Y), each fold of anchors predicted
    without itself.

    Parameters
    ----------
    adapters : sequence of Adapter, optional
        What to choose from, every setting decided, in place of the default; the first is the one to
        beat.
    trials : int, default 64
        Most ways to cross that are compared. Arms without a source are all compared, with every
        target model that the source was tried with.
    budget : float or None, default 240.0
        Seconds after which nothing new is tried; arms without a source take their time. Where it
        cuts the search short, the result depends on the speed of the machine; None is no limit.
    metric : str, default "ndcg"
        By what lists are compared: "ndcg", "recall", "mrr" or "hit_rate".
    n : int, default 10
        Length of the lists.
    shots : sequence of int, default (0, 1, 2, 5)
        Numbers of interactions at which people are served.
    models : bool, default True
        Whether source and target models are tuned.
    fuse, blend : bool, default True
        Whether means of two or three adapters, and a blend with the row map, are tried.
    people : int, default 2000
        Most anchors who are held out, over all folds; at least 10. Where fewer than 300 are, and
        fewer than this, up to 600 rows of the target that are no anchors are held out as well:
        they help to choose what serves without a source.

    Attributes
    ----------
    adapter_ : Adapter
        The chosen one, fitted on all anchors.

    Examples
    --------
    >>> import numpy as np
    >>> from coldstart.adapters import MeanAdapter, RidgeAdapter
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(200, 4))
    >>> target = source @ rng.normal(size=(4, 3)) + 1.0
    >>> auto = AutoAdapter([MeanAdapter(), RidgeAdapter()]).fit(source, target)
    >>> type(auto.adapter_).__name__
    'RidgeAdapter'
    """

    needs_anchors = True

    def __init__(
        self,
        adapters: Sequence[Adapter] | None = None,
        *,
        trials: int = 64,
        budget: float | None = 240.0,
        metric: str = "ndcg",
        n: int = 10,
        shots: Sequence[int] = (0, 1, 2, 5),
        models: bool = True,
        fuse: bool = True,
        blend: bool = True,
        people: int = 2000,
    ) -> None:
        self.adapters = adapters
        self.trials = trials
        self.budget = budget
        self.metric = metric
        self.n = n
        self.shots = shots
        self.models = models
        self.fuse = fuse
        self.blend = blend
        self.people = people

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        names = ("adapters", "trials", "budget", "metric", "n", "models", "fuse", "blend", "people")
        shots = self.shots
        if isinstance(shots, Iterable) and not isinstance(shots, str):
            shots = list(shots)
        return {**{name: getattr(self, name) for name in names}, "shots": shots}

    def candidates(self) -> Sequence[Adapter]:
        """What is chosen from, as unfitted adapters."""
        return default_adapters() if self.adapters is None else copy.deepcopy(list(self.adapters))

    def check_settings(self) -> None:
        """Raise what is wrong with the settings."""
        if self.adapters is not None:
            check_parts(self.adapters, "AutoAdapter", least=1)
            if any(isinstance(part, AutoAdapter) for part in self.adapters):
                raise ValueError("AutoAdapter cannot choose an AutoAdapter: list what that has")
        for name, least in (("trials", 1), ("n", 1), ("people", FEWEST)):
            _check_whole(getattr(self, name), least, name)
        if isinstance(self.shots, str) or not isinstance(self.shots, Iterable):
            raise TypeError(f"shots must be a sequence such as (0, 5), got {self.shots!r}")
        for shots in self.shots:
            _check_whole(shots, 0, "each of shots")
        budget: Any = self.budget
        number = isinstance(budget, Real) and not isinstance(budget, bool)
        if budget is not None and not (number and budget >= 0):
            raise ValueError(
                f"budget must be None, no limit, or a number of seconds from 0 on, got {budget!r}"
            )
        if not isinstance(self.metric, str):
            raise TypeError(f'metric must be a name such as "ndcg", got {self.metric!r}')
        for name in ("models", "fuse", "blend"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> AutoAdapter:
        """Choose on folds of the n anchors, and fit the choice on all of them.

        Raises
        ------
        AnchorError
            With fewer than two anchors, or source columns that are constant or collinear.
        TypeError, ValueError
            When a setting is out of range, or something among `adapters` is no adapter.
        """
        self.check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="AutoAdapter", context=context)
        context = context or AnchorContext()
        folds = folds_of(s, t, w, FOLDS)
        options = self.candidates()
        metric = score_metric(context, t.shape[1])
        errors = [_error(option, s, t, w, folds, context, metric) for option in options]
        best = options[int(np.argmin(errors))]
        self.adapter_ = copy.deepcopy(best).fit(s, t, weight=w, context=context)
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """What the chosen adapter says of rows `source` (m, d_source)."""
        check_fitted(self, "adapter_")
        return self.adapter_.predict(source, context=context)


def _check_whole(value: Any, least: int, name: str) -> None:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(f"{name} must be a whole number from {least} on, got {value!r}")


def default_adapters() -> list[Adapter]:
    """One or a few settings of every family that has been best on real catalogs; first the one that
    needs the fewest anchors.
    """
    return [
        CanonicalAdapter(1.0, normalize=True, pseudo_anchors=1000.0),
        RidgeAdapter(1.0, normalize=True),
        RidgeAdapter(0.3, normalize=True),
        RidgeAdapter(3.0, normalize=True),
        RidgeAdapter(1.0, normalize=False),
        KernelAdapter("linear", rows="interactions", normalize=True, ridge=6.0, landmarks=1000),
        KernelAdapter("linear", rows="interactions", normalize=True, ridge=20.0, landmarks=1000),
        NeighbourAdapter(k=50, rows="interactions"),
        NeighbourAdapter(k=200, rows="interactions"),
        TaskAdapter(),
    ]


def _error(
    adapter: Adapter,
    s: NDArray[Any],
    t: NDArray[Any],
    w: Array,
    folds: NDArray[np.int64],
    context: AnchorContext,
    metric: Array,
) -> float:
    """Weighted squared error of scores over folds; that of one fold where there are no others."""
    total = 0.0
    used = w > 0
    for fold in np.unique(folds[used]):
        test = used & (folds == fold)
        train = used & ~test
        if train.sum() < 2:
            continue
        try:
            fitted = copy.deepcopy(adapter).fit(
                s[train], t[train], weight=w[train], context=context.take(train)
            )
        except (ValueError, AnchorError):
            return np.inf
        off = fitted.predict(s[test], context=context.take(test)).mean - t[test]
        total += float(w[test] @ np.einsum("ni,ij,nj->n", off, metric, off, optimize=True))
    return total
