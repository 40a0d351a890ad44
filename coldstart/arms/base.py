"""What an arm of an evaluation may see, and what it must answer.

An arm is one way to serve people who have lost their target rows. It is fitted on a `Task`, which
holds nothing of the target rows of the people it is tested on, and tuned on the task's validation
people, who lost theirs as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.als import PriorALS
from coldstart.anchors import Anchors, find_anchors
from coldstart.heldout import HeldOut, Scorer
from coldstart.interactions import Interactions
from coldstart.metrics import metric

from .tuned import Space, Tuned, tune

__all__ = ["MODELS", "TRIALS", "Arm", "People", "Task", "rows_of"]

TRIALS = 40  # settings that every arm may try, for each number of shots

MODELS: dict[str, dict[str, float]] = {
    "usual": {},
    "less confident": {"alpha": 0.25},
    "firmer": {"regularization": 4},
    "wider": {"factors": 2},
}
"""Settings of the plain target model that arms without a source may choose, as multiples."""


@dataclass(frozen=True, eq=False)
class People:
    """Held-out rows: where they stand in the source (n,), -1 for nowhere, and what was taken from
    the target.
    """

    source: NDArray[np.int64]
    held: HeldOut

    def __len__(self) -> int:
        return len(self.source)

    def take(self, which: NDArray[Any] | slice) -> People:
        """Some of the people, by position, mask or slice."""
        return People(self.source[which], self.held.take(which))


@dataclass(frozen=True, eq=False)
class Task:
    """Everything an arm may learn from. Rows are the side that is mapped: users, or items of
    swapped catalogs.

    Parameters
    ----------
    source : Interactions
        The whole source catalog.
    train : Interactions
        The target catalog without the rows of any held-out people.
    validation : People
        For every choice an arm makes; disjoint from the people it is tested on.
    shots : tuple of int
    metric : str, n : int
        What to choose by, for example NDCG at 10.
    factors : int
        Width of factor models.
    seed : int
    order : array (n_columns,)
        One permutation of the columns for everybody: how ties fall.
    num_threads : int
    side : "users" or "items"
    trials : int, optional
        Most settings that an arm may try, for each number of shots; by default `TRIALS`, and what
        "auto" makes by itself.
    budget : float or None
        Seconds that an arm may take for its trials.
    given : Tuned, optional
        What was chosen before, at an earlier moment: then nothing is tried.
    """

    source: Interactions
    train: Interactions
    validation: People
    shots: tuple[int, ...]
    metric: str
    n: int
    factors: int
    seed: int
    order: NDArray[np.int64]
    num_threads: int = 0
    side: str = "users"
    trials: int | None = None
    given: Tuned | None = None
    budget: float | None = None
    _models: dict[str, PriorALS] = field(default_factory=dict, init=False)
    _rows: dict[str, NDArray[np.float32]] = field(default_factory=dict, init=False)

    @cached_property
    def anchors(self) -> Anchors:
        """Rows with interactions in both the source and the training catalog."""
        found = find_anchors(self.source.users, self.train.users, side=self.side, needed=False)
        sizes = np.diff(self.train.user_items.indptr)[found.target]
        return found.take(sizes > 0)

    @property
    def most(self) -> int:
        """Most settings that an arm may try, for each number of shots."""
        return TRIALS if self.trials is None else self.trials

    def told(self, given: Tuned | None) -> Task:
        """The same task with choices that were made before; models that are fitted are shared."""
        task = replace(self, given=given)
        for name in ("_models", "_rows"):
            object.__setattr__(task, name, getattr(self, name))
        return task

    @property
    def known(self) -> bool:
        """Whether people have interactions in the training catalog, besides their shots."""
        return self.validation is not None and self.validation.held.known is not None

    def new_model(self, **settings: Any) -> PriorALS:
        """An unfitted `PriorALS` of the task's width and seed."""
        defaults = {"factors": self.factors, "rng": self.seed, "num_threads": self.num_threads}
        return PriorALS(**{**defaults, **settings})

    @property
    def target_model(self) -> PriorALS:
        """Plain ALS of the training catalog, fitted once for all arms that need it."""
        return self.model("usual")

    def model(self, name: str) -> PriorALS:
        """One of `MODELS`, fitted on the training catalog when it is first asked for."""
        if name not in self._models:
            usual = self.new_model().get_params()
            more = {knob: type(usual[knob])(usual[knob] * by) for knob, by in MODELS[name].items()}
            model = self.new_model(**more)
            self._models[name] = model.fit(self.train.user_items, show_progress=False)
        return self._models[name]

    @property
    def target_rows(self) -> NDArray[np.float32]:
        """Exact embeddings (n_train_rows, factors) of the training rows."""
        return self.rows("usual")

    def rows(self, name: str) -> NDArray[np.float32]:
        """Exact embeddings (n_train_rows, d) of the training rows by one of `MODELS`."""
        if name not in self._rows:
            self._rows[name] = self.model(name).fold_in(self.train.user_items)
        return self._rows[name]

    def quality(self, scores: Scorer, people: People, shots: int) -> NDArray[np.float64]:
        """Quality (n_people,) of ranked lists by the task's own metric, NaN without truth."""
        ranked = people.held.rank_all(
            scores, shots, n=self.n, order=self.order, num_threads=self.num_threads
        )
        return metric(self.metric)(ranked.hits, ranked.relevant)

    def mean_quality(self, scores: Scorer, people: People, shots: int) -> float:
        """Mean `quality` of the people with truth; NaN where nobody has any."""
        quality = self.quality(scores, people, shots)
        known = quality[~np.isnan(quality)]
        return float(known.mean()) if len(known) else float("nan")

    def choose(
        self,
        space: Space,
        scorer: Callable[[dict[str, Any], NDArray[np.int64], sp.csr_matrix], Scorer],
    ) -> Tuned:
        """The setting with the best mean quality of the validation people, for each number of
        shots, of as many as may be tried.

        `scorer(setting, source_rows, history)` gives the scores under one setting. The first of
        equal settings wins, and of all of them where nobody has anything left to find.
        """
        if self.given is not None:
            return self.given
        people = self.validation

        def quality(setting: dict[str, Any], shots: int) -> float:
            scores = scorer(setting, people.source, people.held.history(shots))
            return self.mean_quality(scores, people, shots)

        return tune(
            space, self.shots, quality, trials=self.most, seconds=self.budget, seed=self.seed
        )


def rows_of(matrix: sp.csr_matrix, rows: NDArray[np.int64]) -> sp.csr_matrix:
    """Rows of a matrix by their numbers, an empty one for -1."""
    if not (rows < 0).any():
        return matrix[rows]
    there = sp.diags((rows >= 0).astype(matrix.dtype))
    found = sp.csr_matrix(there @ matrix[np.maximum(rows, 0)])
    found.eliminate_zeros()
    return found


@runtime_checkable
class Arm(Protocol):
    """One way to serve people without target rows.

    An arm that makes choices keeps what it tried as its attribute `tuned`, a `Tuned`. One whose
    scores do not tell rows apart may have a method `across` like `scorer` for lists in which rows
    compete, such as new items with known ones.
    """

    name: str
    uses_source: bool

    def fit(self, task: Task) -> Arm:
        """Learn from the task, and make every choice on its validation people."""
        ...

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Scores for people at row numbers `source` (n,) of the source (-1: nowhere), who have
        `history` (n, n_columns) by now.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """What was chosen, in plain values for the results file."""
        ...
