"""What an arm tried on validation people, and what it chose."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

__all__ = ["Space", "Trial", "Tuned", "tune"]

Space = Mapping[str, Sequence[Any]]
"""Names of knobs and their values, the usual one first."""

Setting = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One setting, the mean quality of the people who were asked under it, and whether an arm that
    does not just take the best has chosen it.
    """

    shots: int
    setting: Setting
    quality: float
    chosen: bool = False


@dataclass(frozen=True, eq=False)
class Tuned(Mapping[int, Setting]):
    """The best setting for each number of shots, and all that were tried."""

    space: Space
    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, space: Space, trials: Sequence[dict[str, Any]]) -> Tuned:
        """What an arm tried by a search of its own, in a space of its own."""
        return cls(space, tuple(Trial(**trial) for trial in trials))

    def __getitem__(self, shots: int) -> Setting:
        theirs = [trial for trial in self.trials if trial.shots == shots]
        if not theirs:
            raise KeyError(shots)
        # the first of equal ones, and of all of them where nobody has anything left to find
        return max(theirs, key=_worth).setting

    def __iter__(self) -> Iterator[int]:
        return iter(dict.fromkeys(trial.shots for trial in self.trials))

    def __len__(self) -> int:
        return len({trial.shots for trial in self.trials})

    def settings(self) -> dict[str, Any]:
        """For every knob its value at each number of shots."""
        return {
            knob: {shots: setting[knob] for shots, setting in self.items()} for knob in self.space
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values: the space, and every trial with whether it was chosen."""
        taken = dict(self) if not any(trial.chosen for trial in self.trials) else {}
        trials = [
            {**asdict(trial), "chosen": trial.chosen or trial.setting == taken.get(trial.shots)}
            for trial in self.trials
        ]
        return {
            "space": {name: list(tried) for name, tried in self.space.items()},
            "trials": trials,
        }


def tune(
    space: Space,
    shots: Sequence[int],
    quality: Callable[[Setting, int], float],
    *,
    trials: int,
    seconds: float | None,
    seed: int,
) -> Tuned:
    """Try at most `trials` settings of a space for each number of shots.

    A space that is no larger is tried whole. Of a larger one the usual setting comes first, then
    every knob is turned by itself, from the best setting so far, until that changes nothing; what
    is left of the trials are random settings. After `seconds`, which all numbers of shots share
    evenly, nothing new is tried; the usual setting always is.
    """
    made: list[Trial] = []
    for place, k in enumerate(shots):
        left = None if seconds is None else seconds / (len(shots) - place)
        end = math.inf if left is None else time.monotonic() + left
        began = time.monotonic()
        rng = np.random.default_rng([seed, 5, k])
        made += _searched(space, k, quality, trials, end, rng)
        seconds = None if seconds is None else max(0.0, seconds - (time.monotonic() - began))
    return Tuned(space, tuple(made))


def _searched(
    space: Space,
    shots: int,
    quality: Callable[[Setting, int], float],
    trials: int,
    end: float,
    rng: np.random.Generator,
) -> list[Trial]:
    """The trials for one number of shots, in their order."""
    made: dict[tuple[int, ...], Trial] = {}
    values = [list(knob) for knob in space.values()]

    def tried(place: tuple[int, ...]) -> bool:
        """Whether the setting has been tried, or there was room to try it."""
        if place not in made:
            if made and (len(made) >= trials or time.monotonic() > end):
                return False
            chosen = (knob[index] for knob, index in zip(values, place, strict=True))
            setting = dict(zip(space, chosen, strict=True))
            made[place] = Trial(shots, setting, quality(setting, shots))
        return True

    for place in _places(values, trials, made, rng):
        if not tried(place):
            break
    return list(made.values())


def _places(
    values: list[list[Any]],
    trials: int,
    made: Mapping[tuple[int, ...], Trial],
    rng: np.random.Generator,
) -> Iterator[tuple[int, ...]]:
    """Which settings to try next, by the numbers of their values; `made` grows meanwhile."""
    everything = product(*(range(len(knob)) for knob in values))
    if math.prod(map(len, values)) <= trials:
        yield from everything
        return
    best: tuple[int, ...] = (0,) * len(values)
    yield best
    moved = True
    while moved:
        moved = False
        for knob, options in enumerate(values):
            line = [(*best[:knob], index, *best[knob + 1 :]) for index in range(len(options))]
            yield from (place for place in line if place not in made)
            better = max(line, key=lambda place: _worth(made[place]))
            if _worth(made[better]) > _worth(made[best]):
                best, moved = better, True
    rest = [place for place in everything if place not in made]
    yield from (rest[number] for number in rng.permutation(len(rest)))


def _worth(trial: Trial) -> float:
    return -math.inf if math.isnan(trial.quality) else trial.quality
