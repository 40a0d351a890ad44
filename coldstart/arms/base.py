"""What an arm of an evaluation may see, and what it must answer.

An arm is one way to serve people who have lost their target rows. It is fitted on a `Task`, which
holds nothing of the target rows of the people it is tested on, and tuned on the task's validation
people, who lost theirs as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.als import PriorALS
from coldstart.anchors import Anchors, find_anchors
from coldstart.heldout import HeldOut, Scorer
from coldstart.interactions import Interactions
from coldstart.metrics import metric

__all__ = ["Arm", "People", "Task"]

Setting = TypeVar("Setting")


@dataclass(frozen=True, eq=False)
class People:
    """Held-out rows: where they stand in the source (n,), and what was taken from the target."""

    source: NDArray[np.int64]
    held: HeldOut

    def __len__(self) -> int:
        return len(self.source)


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

    @cached_property
    def anchors(self) -> Anchors:
        """Rows with interactions in both the source and the training catalog."""
        found = find_anchors(self.source.users, self.train.users, side=self.side, needed=False)
        sizes = np.diff(self.train.user_items.indptr)[found.target]
        return found.take(sizes > 0)

    def new_model(self, **settings: Any) -> PriorALS:
        """An unfitted `PriorALS` of the task's width and seed."""
        defaults = {"factors": self.factors, "rng": self.seed, "num_threads": self.num_threads}
        return PriorALS(**{**defaults, **settings})

    @cached_property
    def target_model(self) -> PriorALS:
        """Plain ALS of the training catalog, fitted once for all arms that need it."""
        return self.new_model().fit(self.train.user_items, show_progress=False)

    @cached_property
    def target_rows(self) -> NDArray[np.float32]:
        """Exact embeddings (n_train_rows, factors) of the training rows."""
        return self.target_model.fold_in(self.train.user_items)

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
        settings: Iterable[Setting],
        scorer: Callable[[Setting, NDArray[np.int64], sp.csr_matrix], Scorer],
    ) -> Mapping[int, Setting]:
        """The setting with the best mean quality of the validation people, for each number of
        shots.

        `scorer(setting, source_rows, history)` gives the scores under one setting. The first of
        equal settings wins, and of all of them where nobody has anything left to find.
        """
        settings = list(settings)
        people = self.validation
        chosen = {}
        for k in self.shots:
            history = people.held.history(k)
            qualities = [
                self.mean_quality(scorer(setting, people.source, history), people, k)
                for setting in settings
            ]
            chosen[k] = settings[int(np.argmax(qualities))]
        return chosen


@runtime_checkable
class Arm(Protocol):
    """One way to serve people without target rows."""

    name: str
    uses_source: bool

    def fit(self, task: Task) -> Arm:
        """Learn from the task, and make every choice on its validation people."""
        ...

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Scores for people at row numbers `source` (n,) of the source, who have `history` (n,
        n_columns) by now.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """What was chosen, in plain values for the results file."""
        ...
