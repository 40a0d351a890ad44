"""Arms of an evaluation, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from coldstart.adapters import ADAPTERS

from .base import Arm, People, Task
from .factorization import ColdArm, MeanPriorArm
from .function import FunctionArm, arm
from .init import InitArm
from .joint import JointArm
from .linear_rows import LinearRowsArm
from .neighbours import NeighboursArm
from .popularity import PopularityArm
from .warm import WarmArm

__all__ = ["ARMS", "Arm", "FunctionArm", "People", "Task", "arm", "make_arm", "make_arms"]

ARMS: dict[str, Callable[[], Arm]] = {
    "popularity": PopularityArm,
    "cold": ColdArm,
    "mean-prior": MeanPriorArm,
    "init": InitArm,
    "neighbours": NeighboursArm,
    "linear-rows": LinearRowsArm,
    "joint": JointArm,
    **{f"warm:{name}": partial(WarmArm, name) for name in ADAPTERS if name != "auto"},
    "auto": partial(WarmArm, "auto"),
}


def make_arm(name: str) -> Arm:
    """A new arm, by its name in `ARMS`."""
    if name not in ARMS:
        raise ValueError(f"unknown arm {name!r}: known are {', '.join(ARMS)}")
    return ARMS[name]()


def make_arms(arms: Sequence[str | Arm]) -> list[Arm]:
    """New arms for names, and other arms as they are; results tell them apart by their names."""
    if isinstance(arms, str):
        raise TypeError(f"arms must be a sequence, got the string {arms!r}: pass [{arms!r}]")
    made = [make_arm(one) if isinstance(one, str) else one for one in arms]
    for one in made:
        if isinstance(one, type) or not isinstance(one, Arm):
            raise TypeError(
                "an arm is a name, or an object with name, uses_source, fit, scorer and settings, "
                f"got {one!r}: coldstart.arms.arm makes one of a function"
            )
    names = [one.name for one in made]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"expected arms of different names, got {', '.join(names) or 'none'}")
    return made
