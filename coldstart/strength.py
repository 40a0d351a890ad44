"""How strongly rows are pulled toward what is believed of them, for each number of interactions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.prior import Prior

__all__ = ["WHOSE", "Counts", "Fallback", "NullArm", "Strength"]

Counts = NDArray[np.integer[Any]]

WHOSE = ("all", "anchors", "both")  # the means that arms without a source stand around


@dataclass(frozen=True)
class Strength:
    """The pull toward a prior, for rows with at least so many interactions.

    Parameters
    ----------
    shots : tuple of int
        Ascending, the first 0. A row with c interactions uses the last entry that is at most c.
    centre : tuple of float
        How far the prior mean stands from the mean of all rows (0: there, 1: where the adapter puts
        it).
    temper : tuple of float
        Factor on the prior's precision; without effect at zero interactions.
    regularization : float
        Ridge around zero of the mapped side.
    blend : tuple of float, optional
        How much the row map adds to the scores, in standard deviations over the catalog (0:
        nothing, the default).
    """

    shots: tuple[int, ...] = (0,)
    centre: tuple[float, ...] = (1.0,)
    temper: tuple[float, ...] = (1.0,)
    regularization: float = 20.0
    blend: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "shots", _checked_shots(self.shots))
        if not len(self.blend):
            object.__setattr__(self, "blend", (0.0,) * len(self.shots))
        for name in ("centre", "temper", "blend"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        object.__setattr__(self, "regularization", float(self.regularization))
        if not len(self.shots) == len(self.centre) == len(self.temper) == len(self.blend):
            raise ValueError("shots, centre, temper and blend must have the same length")
        if not np.isfinite(self.centre).all():
            raise ValueError(f"centre must be finite, got {self.centre}")
        ridge = (self.regularization,)
        for name, values in (
            ("temper", self.temper),
            ("blend", self.blend),
            ("regularization", ridge),
        ):
            if not all(np.isfinite(value) and value >= 0 for value in values):
                raise ValueError(
                    f"{name} must be finite and not negative, got {getattr(self, name)}"
                )

    def bucket(self, counts: Counts) -> NDArray[np.int64]:
        """Entry (n,) that rows with `counts` (n,) interactions use."""
        return np.searchsorted(self.shots, counts, side="right") - 1

    def knobs(self, counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre and temper (n,) of rows with `counts` (n,) interactions."""
        bucket = self.bucket(counts)
        return np.asarray(self.centre)[bucket], np.asarray(self.temper)[bucket]

    def apply(self, prior: Prior, counts: Counts) -> Prior:
        """The prior (n rows) as it pulls rows with `counts` (n,) interactions."""
        centre, temper = self.knobs(counts)
        return prior.centre(centre).temper(temper)

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Strength:
        """Read what `to_json` wrote."""
        names = ("shots", "centre", "temper", "blend")
        lists = {name: tuple(values[name]) for name in names if name in values}
        return cls(**lists, regularization=values["regularization"])


@dataclass(frozen=True)
class NullArm:
    """One way to serve rows of which no source says anything.

    Parameters
    ----------
    kind : {"popularity", "mean", "plain"}
        The same list for everybody, a prior at a mean of the target rows, or no prior.
    whose : {"all", "anchors", "both"}
        Who is counted, or of whom the mean is; "both" is half way between the means of the others.
    temper : float
        Factor on the precision of the mean prior, the inverse covariance of all target rows.
    regularization : float
        Ridge around zero.
    """

    kind: str = "mean"
    whose: str = "all"
    temper: float = 1.0
    regularization: float = 20.0

    def __post_init__(self) -> None:
        known = self.kind in ("popularity", "mean", "plain") and self.whose in WHOSE
        if not known or (self.whose == "both" and self.kind != "mean"):
            raise ValueError(f"no such arm without a source: {self.kind!r} of {self.whose!r}")

    @property
    def row(self) -> int:
        """Number of its mean among the priors of `null_priors`."""
        return WHOSE.index(self.whose)

    def of(self, whose: str) -> NullArm:
        """The same, of others."""
        return replace(self, whose=whose)

    def times(self, ridge: float) -> NullArm:
        """The same, its ridge being meant as a multiple of that one."""
        return replace(self, regularization=self.regularization * ridge)

    def __str__(self) -> str:
        if self.kind == "popularity":
            return f"popularity among {self.whose}"
        ridge = f"ridge {self.regularization:g}"
        if self.kind == "plain":
            return f"no prior, {ridge}"
        whose = "all and anchors" if self.whose == "both" else self.whose
        return f"mean of {whose}, temper {self.temper:g}, {ridge}"


@dataclass(frozen=True)
class Fallback:
    """The arm without a source that serves rows with at least so many interactions."""

    shots: tuple[int, ...] = (0,)
    arms: tuple[NullArm, ...] = (NullArm(),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shots", _checked_shots(self.shots))
        if len(self.shots) != len(self.arms):
            raise ValueError("shots and arms must have the same length")

    def __str__(self) -> str:
        first, *others = zip(self.shots, self.arms, strict=True)
        steps, last = [str(first[1])], first[1]
        for shots, arm in others:
            if arm != last:
                steps.append(f"from {shots} interactions on {arm}")
            last = arm
        return "; ".join(steps)

    def bucket(self, counts: Counts) -> NDArray[np.int64]:
        """Entry (n,) that rows with `counts` (n,) interactions use."""
        return np.searchsorted(self.shots, counts, side="right") - 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Fallback:
        """Read what `to_json` wrote."""
        return cls(tuple(values["shots"]), tuple(NullArm(**arm) for arm in values["arms"]))


def _checked_shots(shots: Any) -> tuple[int, ...]:
    checked = tuple(map(index, shots))
    if not checked or checked[0] != 0 or list(checked) != sorted(set(checked)):
        raise ValueError(f"shots must be ascending and begin with 0, got {checked}")
    return checked
