"""Arms of an evaluation, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from coldstart.adapters import ADAPTERS

from .base import Arm, People, Task
from .factorization import ColdArm, MeanPriorArm
from .init import InitArm
from .joint import JointArm
from .linear_rows import LinearRowsArm
from .neighbours import NeighboursArm
from .popularity import PopularityArm
from .warm import WarmArm

__all__ = ["ARMS", "Arm", "People", "Task", "make_arm"]

ARMS: dict[str, Callable[[], Arm]] = {
    "popularity": PopularityArm,
    "cold": ColdArm,
    "mean-prior": MeanPriorArm,
    "init": InitArm,
    "neighbours": NeighboursArm,
    "linear-rows": LinearRowsArm,
    "joint": JointArm,
    **{f"warm:{name}": partial(WarmArm, name) for name in ADAPTERS},
}


def make_arm(name: str) -> Arm:
    """A new arm, by its name in `ARMS`."""
    if name not in ARMS:
        raise ValueError(f"unknown arm {name!r}: known are {', '.join(ARMS)}")
    return ARMS[name]()
