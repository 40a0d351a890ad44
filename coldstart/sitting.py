"""A sitting: every arm serves the test people of one split, and its lists are kept."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.arms import Arm, People, Task
from coldstart.errors import AlignmentError
from coldstart.heldout import Quest, Ranked, SampledQuest
from coldstart.protocols import Split

__all__ = ["FIXED", "LEFT", "TWINLESS", "Served", "Sitting", "available", "sit"]

LEFT, FIXED, TWINLESS = "left", "fixed", "without twins"
"""What people are to find: all that has not come back yet; what nobody gets back at the largest
number of shots, one truth for every number; and that without cross-listed columns.
"""


@dataclass(frozen=True, eq=False)
class Served:
    """What one arm did for the test people of a sitting.

    Parameters
    ----------
    arm : Arm
        Fitted.
    lists : dict
        Ranked lists by number of shots and by what was to be found.
    validation : dict of int to float
        Mean quality of the validation people, by number of shots: of arms without a source at every
        one, of others at the first.
    seconds : dict
    """

    arm: Arm
    lists: dict[tuple[int, str], Ranked]
    validation: dict[int, float]
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Sitting:
    """One split, what arms could see of it, and how each of them did.

    Parameters
    ----------
    split : Split
    task : Task
    ids : array (n_people,)
        Of the test people.
    twins : array
        Columns of the training catalog that are listed in the source as well.
    served : list of Served
    unavailable : dict of str to str
        Arms that these catalogs leave without an answer, and why.
    """

    split: Split
    task: Task
    ids: NDArray[Any]
    twins: NDArray[np.int64]
    served: list[Served] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)

    def fixed_truth(self) -> sp.csr_matrix:
        """What is to be found (n_people, n_columns) at every number of shots."""
        held = self.split.test.held
        most = self.task.shots[-1]
        return held.last(most) if self.split.negatives is not None else held.truth(most)


def sit(
    split: Split,
    task: Task,
    ids: NDArray[Any],
    arms: Iterable[Arm],
    *,
    twins: NDArray[np.int64],
    earlier: Task | None = None,
) -> Sitting:
    """Fit every arm, and let it serve the test people at every number of shots; where there is an
    `earlier` task, make every choice there before.

    `ids` are those of the target's rows, `twins` columns of the training catalog that are listed in
    the source as well. An arm that cannot align the catalogs says why and is left out.
    """
    held = split.test.held
    sitting = Sitting(split, task, ids[held.rows], twins)
    quests = {k: _quests(split, k, task.shots[-1], twins) for k in task.shots}
    for arm in arms:
        try:
            sitting.served.append(_serve(arm, task, split.test, quests, earlier))
        except AlignmentError as error:
            sitting.unavailable[arm.name] = str(error)
    return sitting


def _quests(
    split: Split, shots: int, most: int, twins: NDArray[np.int64]
) -> dict[str, Quest | SampledQuest]:
    """What there is to find at one number of shots."""
    held = split.test.held
    if split.negatives is not None:
        columns = np.hstack([held.last().indices[:, None], split.negatives])
        sampled = {LEFT: shots, FIXED: most}
        return {name: SampledQuest(columns, held.last(k)) for name, k in sampled.items()}
    fixed = held.quest(most)
    quests: dict[str, Quest | SampledQuest] = {
        LEFT: fixed if shots == most else held.quest(shots),
        FIXED: fixed,
    }
    if len(twins):
        quests[TWINLESS] = fixed.without(twins)
    return quests


def _serve(
    arm: Arm,
    task: Task,
    test: People,
    quests: dict[int, dict[str, Any]],
    earlier: Task | None,
) -> Served:
    began = time.perf_counter()
    tuning, judged = task, arm
    if earlier is not None:
        tuning, judged = earlier, copy.deepcopy(arm)
        judged.fit(earlier)
        task = task.told(getattr(judged, "tuned", None))
    arm.fit(task)
    fitted = time.perf_counter()
    lists: dict[tuple[int, str], Ranked] = {}
    for k, asked in quests.items():
        scores = arm.scorer(test.source, test.held.history(k), k)
        different = list({id(quest): quest for quest in asked.values()}.values())
        found = test.held.rank_quests(
            scores, different, n=task.n, order=task.order, num_threads=task.num_threads
        )
        ranked = {id(quest): one for quest, one in zip(different, found, strict=True)}
        lists |= {(k, name): ranked[id(quest)] for name, quest in asked.items()}
    predicted = time.perf_counter()
    validation = {}
    for k in task.shots if not arm.uses_source else task.shots[:1]:
        people = tuning.validation
        scores = judged.scorer(people.source, people.held.history(k), k)
        validation[k] = tuning.mean_quality(scores, people, k)
    seconds = {"fit": fitted - began, "predict": predicted - fitted}
    return Served(arm, lists, validation, seconds)


def available(sittings: Sequence[Sitting]) -> tuple[list[str], dict[str, str]]:
    """Names of the arms that served in every sitting, and why others did not."""
    missing: dict[str, str] = {}
    for sitting in sittings:
        missing |= sitting.unavailable
    names = [one.arm.name for one in sittings[0].served if one.arm.name not in missing]
    if not names:
        told = "; ".join(f"{name}: {why}" for name, why in missing.items())
        raise AlignmentError(f"no arm is available ({told}): add others, for example popularity")
    return names, missing
