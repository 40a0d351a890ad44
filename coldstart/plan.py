"""What serves whom, as it was chosen or given, and what that makes of two fitted catalogs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import AutoAdapter
from coldstart.adapters.base import Adapter
from coldstart.anchors import Anchors
from coldstart.evidence import SoftGate
from coldstart.gate import Decision, decide
from coldstart.popularity import counts
from coldstart.prior import Prior
from coldstart.request import Request
from coldstart.serving import Belief, Extras
from coldstart.strength import Fallback, NullArm, Strength
from coldstart.targets import Target
from coldstart.transfer import Space, map_rows, predict
from coldstart.tuning import Found, Home
from coldstart.vocabulary import Vocabulary

__all__ = ["Plan", "as_given", "decided", "extras_of"]

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What serves whom: the number of the target model, the pull of mapped rows and where it is
    open, what serves them elsewhere, what serves rows that no source knows, and how far each row is
    trusted to the source, where rows are weighed.
    """

    target: int
    strength: Strength
    open: tuple[bool, ...]
    fallback: Fallback
    unknown: Fallback
    soft: SoftGate | None = None

    @classmethod
    def of(
        cls,
        request: Request,
        models: Sequence[Target],
        found: Found | None,
        decision: Decision | None,
        home: Home | None,
    ) -> Plan:
        """From what was asked for, what held-out people chose and what the gate decided; `home` is
        what counts where nothing was `found`.
        """
        if found is None:
            return cls._untested(request, home)
        opened = decision.open if decision else (True,) * len(found.choice.pulls)
        target = found.choice.crossing.target if any(opened) else found.null().target
        ridge = models[target].regularization
        strength = found.choice.strength(ridge)
        if isinstance(request.strength, Strength):
            strength, opened = as_given(request.strength, strength, opened)
        return cls(
            target,
            strength,
            opened,
            found.null(target).fallback(ridge),
            found.null(target, popular=False).fallback(ridge),
            found.soft if any(opened) else None,
        )

    @classmethod
    def _untested(cls, request: Request, home: Home | None) -> Plan:
        """Where nobody could be asked of the source: closed, unless there is no gate."""
        ridge = request.target.regularization
        plain = Fallback((0,), (NullArm("mean", "all", 1.0, ridge),))
        served = unknown = plain
        strength = request.fixed or Strength(regularization=1.0)
        if home is not None:
            served = home.null(0).fallback(ridge)
            unknown = home.null(0, popular=False).fallback(ridge)
            if request.fixed is None:
                shots, temper = zip(*home.tempers.items(), strict=True)
                strength = Strength(shots, (1.0,) * len(shots), temper, 1.0)
        if not isinstance(request.strength, Strength):
            strength = replace(strength, regularization=strength.regularization * ridge)
        return cls(0, strength, (not request.gate,) * len(strength.shots), served, unknown)

    def belief(
        self, adapter: Adapter, ids: Vocabulary, origin: Space, mean: Doubles, nulls: Prior
    ) -> Belief:
        """What is believed of every id of either catalog, target ids first, by a fitted adapter;
        the last row is that of an unknown id. `mean` (d,) is that of all target rows.
        """
        rows = origin.ids.rows(ids.ids, missing="mask")
        speaks = origin.active[rows] & origin.readable(adapter, rows)
        mapped = np.append((rows >= 0) & speaks, False)
        said = predict(adapter, origin, rows[mapped[:-1]])
        place = np.full(len(mapped), len(said))  # the row that `pad` appends
        place[mapped] = np.arange(len(said))
        prior = said.pad(len(said) + 1, mean).take(place)
        pull = self.strength, self.open, self.fallback, self.unknown, self.soft
        return Belief(prior, mapped, nulls, *pull)


def decided(found: Found, adapter: Adapter | None) -> Decision:
    """The verdict of the gate on what held-out people found, `adapter` being that of the caller."""
    outer, chosen = found.outer, "auto"
    quality, families = outer.quality, len(outer.quality) - 1  # the choice among them is none
    if adapter is not None and not isinstance(adapter, AutoAdapter):
        # one family: it, and before it was tuned
        chosen = type(adapter).__name__
        quality = {
            chosen if name == "auto" else f"{name} at two tempers": people
            for name, people in quality.items()
        }
    return decide(
        quality,
        outer.baseline,
        chosen=chosen,
        shots=tuple(found.choice.pulls),
        baseline_names=outer.baseline_names,
        families=families,
        metric=found.metric,
        rng=0,
    )


def as_given(
    given: Strength, tested: Strength, opened: tuple[bool, ...]
) -> tuple[Strength, tuple[bool, ...]]:
    """The strength of the caller with an entry for every number of shots of either, and which of
    them are open; the ridge is as it was tested.
    """
    shots = np.union1d(given.shots, tested.shots)
    at = given.bucket(shots)
    centre, temper, blend = (
        tuple(np.take(getattr(given, name), at)) for name in ("centre", "temper", "blend")
    )
    strength = Strength(tuple(shots), centre, temper, tested.regularization, blend)
    return strength, tuple(opened[place] for place in tested.bucket(shots))


def extras_of(
    belief: Belief, origin: Space, ids: Vocabulary, matrix: sp.csr_matrix, anchors: Anchors
) -> Extras:
    """The row map where the strength blends it in, and popularity where an arm asks for it."""
    n = len(belief.mapped)
    rows = np.zeros((n, 0), np.float32)
    columns = np.zeros((matrix.shape[1], 0), np.float32)
    wanted = [b for b, opened in zip(belief.strength.blend, belief.open, strict=True) if opened]
    if any(wanted) and origin.matrix is not None:
        places = origin.ids.rows(ids.ids, missing="mask")
        mapped = np.flatnonzero(belief.mapped)
        said, columns = map_rows(origin, matrix[anchors.target], anchors, places[mapped])
        rows = np.zeros((n, columns.shape[1]), np.float32)
        rows[mapped] = said
    popularity = np.zeros((0, matrix.shape[1]), np.float32)
    if any(arm.kind == "popularity" for arm in belief.fallback.arms):
        popularity = np.stack([counts(matrix), counts(matrix[anchors.target])])
    return Extras(rows, columns, popularity)
