"""What a warm start moved, how strongly, and what held-out people gained, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.adapters.feature_map import rows_told
from coldstart.anchors import Anchors
from coldstart.decision import Decision, listed
from coldstart.evidence import SoftGate
from coldstart.refine_choice import RefineChoice
from coldstart.statistics import bootstrap_interval
from coldstart.strength import Fallback, Strength
from coldstart.transfer import Space
from coldstart.tuning import Found

FEW_PEOPLE = 50  # held out, below which a choice is little more than chance
STRANGERS = "rows of the target that are no anchors"

__all__ = ["Described", "Gain", "TransferReport"]


@dataclass(frozen=True)
class Gain:
    """Mean quality of `people` held-out people at so many shots, and its difference to the best arm
    without a source, with a 95% interval.

    Both sides were chosen on other held-out people.
    """

    shots: int
    people: int
    warm: float
    baseline: float
    baseline_name: str
    metric: str
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"At {self.shots} shots: {self.metric} {self.warm:.4f} against {self.baseline:.4f} "
            f"without a source ({self.baseline_name}), difference {self.warm - self.baseline:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}], {self.people} held-out"
        )


@dataclass(frozen=True)
class Described:
    """How many features there are, from how many target rows they were learned, and how many rows
    were moved that no source catalog knows.
    """

    width: int
    learned: int
    alone: int

    @classmethod
    def of(cls, source: Space, anchors: Anchors, moved: NDArray[np.int64]) -> Described | None:
        """Count; None where there are no features."""
        if source.features is None:
            return None
        learned = int(rows_told(source.features[anchors.source]).sum())
        return cls(source.features.shape[1], learned, int((~source.met[moved]).sum()))

    def __str__(self) -> str:
        return (
            f"What {self.width} features say was learned from {self.learned} rows of the target; "
            f"{self.alone} rows were moved by features alone."
        )


@dataclass(frozen=True)
class TransferReport:
    """Attributes are plain values; ``print`` it for sentences.

    With a soft gate that is open somewhere, `soft` is how rows are weighed, and `trust` the mean
    weight of the source over the `trusted` rows that have interactions and follow it. `followed`
    says whether any row may follow it.
    """

    side: str
    adapter: str
    source_rows: int
    source_width: int
    target_rows: int
    target_width: int
    anchors: int
    moved: int
    strength: Strength
    gains: tuple[Gain, ...]
    gate: Decision | None
    fallback: Fallback
    warnings: tuple[str, ...]
    refined: RefineChoice | None = None
    features: Described | None = None
    soft: SoftGate | None = None
    trust: float | None = None
    trusted: int = 0
    followed: bool = True
    model: str = "PriorALS"

    @classmethod
    def of(
        cls,
        *,
        side: str,
        adapter: Any,
        source: tuple[int, ...],
        given: int | None = None,
        target: tuple[int, ...],
        anchors: int,
        moved: int,
        strength: Strength,
        found: Found | None,
        chosen: bool,
        gated: bool,
        gate: Decision | None,
        fallback: Fallback,
        followed: bool = True,
        refined: RefineChoice | None = None,
        features: Described | None = None,
        soft: SoftGate | None = None,
        trust: ArrayLike = (),
        model: str = "PriorALS",
    ) -> TransferReport:
        """Put the parts of a fit together; `chosen` says whether the strength was to be chosen,
        `given` how many factors the source had before it was projected,
        `gated` whether a gate was asked for, and `refined` what was chosen in place of `found`.
        Rows that only `features` know are counted there alone; `trust` are the weights of rows
        under a `soft` gate, `model` is the target model in words.
        """
        weights = np.zeros(0) if soft is None else np.asarray(trust, np.float64)
        warnings = (
            *_of_the_map(adapter, source[1], given, anchors, side, features),
            *_of_the_proof(found, fallback, refined, chosen=chosen, gated=gated),
        )
        return cls(
            side=side,
            adapter=_described(adapter),
            source_rows=source[0],
            source_width=source[1],
            target_rows=target[0],
            target_width=target[1],
            anchors=anchors,
            moved=moved,
            strength=strength,
            gains=_gains(found) if found else (),
            gate=gate,
            fallback=fallback,
            warnings=warnings,
            refined=refined,
            features=features,
            soft=soft,
            trust=float(weights.mean()) if len(weights) else None,
            trusted=len(weights),
            followed=followed,
            model=model,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        gate = None if self.gate is None else self.gate.to_json()
        return asdict(replace(self, gate=None)) | {"gate": gate}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TransferReport:
        """Read what `to_json` wrote."""
        refined = values.get("refined")
        parts = {
            "strength": Strength.from_json(values["strength"]),
            "gains": tuple(Gain(**gain) for gain in values["gains"]),
            "gate": None if values["gate"] is None else Decision.from_json(values["gate"]),
            "fallback": Fallback.from_json(values["fallback"]),
            "warnings": tuple(values["warnings"]),
            "refined": refined and RefineChoice.from_json(refined),
            "soft": SoftGate.from_json(values["soft"]) if values.get("soft") else None,
        }
        if values.get("features"):
            parts["features"] = Described(**values["features"])
        return cls(**{**values, **parts})

    def __str__(self) -> str:
        lines = [
            f"Moved {self.moved} of {self.source_rows} source {self.side} "
            f"({self.source_width} factors) into a target of {self.target_rows} {self.side} "
            f"({self.target_width} factors), learned from {self.anchors} anchors.",
            *([] if self.features is None else [str(self.features)]),
            *([] if self.model == "PriorALS" else [f"Target model: {self.model}."]),
            *self._pulled(),
        ]
        if self.refined is not None:
            lines.append(self._refinement(self.refined))
        if self.gate is None:
            lines += [f"{gain} {self.side}." for gain in self.gains]
        else:  # its table has the same differences
            lines += [str(self.gate), *self._closed(self.gate)]
        if self.soft is not None:
            lines.append(self._weighed(self.soft))
        return "\n".join([*lines, *(f"Warning: {warning}." for warning in self.warnings)])

    def _pulled(self) -> list[str]:
        """By what rows were moved, and how strongly, and whether that serves.

        The strength beside a refined model that was dropped is of two models, and not told.
        """
        dropped = self.refined is not None and not self.followed
        ridge = f"; ridge around zero {self.strength.regularization:g}"
        lines = [f"Adapter: {self.adapter}{'' if dropped else ridge}."]
        if not dropped:
            lines += _pulls(self.strength)
        if not self.followed:
            why = "the refined model is dropped" if dropped else "the gate is closed throughout"
            lines.append(f"None of this serves, because {why}.")
        return lines

    def _refinement(self, choice: RefineChoice) -> str:
        if self.followed and not choice.keep:
            return f"Refinement would drop the refined model: {choice.grounds}."
        return f"Refinement {choice}."

    def _closed(self, gate: Decision) -> list[str]:
        """What serves where the gate is closed, and whether something else was tested there."""
        serving = {
            k: str(arm)
            for k, arm in zip(self.fallback.shots, self.fallback.arms, strict=True)
            if not gate.open[gate.bucket(k)]
        }
        lines = [f"Closed from {k} interactions on: {arm}." for k, arm in serving.items()]
        tested = {bucket.shots: bucket.baseline_name for bucket in gate.buckets}
        others = [k for k, arm in serving.items() if arm != tested.get(k, arm)]
        if others:
            model = " and has the target model that the source was given" * any(gate.open)
            lines.append(
                f"At {listed(others)} shots that is not the arm of the test, which is the best for "
                f"the people held out: what serves is chosen with more caution{model}, and where "
                f"anchors are few also by {STRANGERS}."
            )
        return lines

    def _weighed(self, gate: SoftGate) -> str:
        pi = float(gate.weight(0.0, 0.0))
        line = f"Soft gate: t {gate.t:g}, pi {pi:.4f}"
        if self.trust is not None:
            line += (
                f"; mean weight {self.trust:.4f} of {self.trusted} {self.side} with interactions"
            )
        return f"{line}."


def _pulls(s: Strength) -> list[str]:
    return [
        f"From {k} interactions on: {centre:g} of the way from the mean, "
        f"precision times {temper:g}" + (f", row map {blend:g}." if blend else ".")
        for k, centre, temper, blend in zip(s.shots, s.centre, s.temper, s.blend, strict=True)
    ]


def _described(adapter: Any) -> str:
    settings = adapter.get_params() if hasattr(adapter, "get_params") else {}
    if settings.get("adapters"):
        return f"{type(adapter).__name__}({', '.join(map(_described, settings['adapters']))})"
    return f"{type(adapter).__name__}({', '.join(f'{k}={v!r}' for k, v in settings.items())})"


def _of_the_map(
    adapter: Any, width: int, given: int | None, anchors: int, side: str, features: Described | None
) -> Iterator[str]:
    """What to beware of in what was learned: `given` factors were projected on `width`."""
    if given is not None:
        yield f"{width} of {given} directions of the source vary; it was projected on them"
    if anchors < width and getattr(adapter, "needs_anchors", True):
        yield (
            f"{anchors} anchors are fewer than the {width} source factors: "
            "the map is mostly its prior"
        )
    if features is not None and not anchors:
        yield f"source and target have no {side} in common: all that counts are the features"


def _of_the_proof(
    found: Found | None,
    fallback: Fallback,
    refined: RefineChoice | None,
    *,
    chosen: bool,
    gated: bool,
) -> Iterator[str]:
    """What to beware of in what held-out people could tell."""
    if found is not None and found.people < FEW_PEOPLE:
        yield f"only {found.people} people were held out to choose the strength: it is a guess"
    if refined is not None:
        if not (gated or refined.keep):
            yield "the refined model serves without proof: gate=False"
    elif gated and found is None:
        how = "by the" if fallback.shots == (0,) else f"as {STRANGERS} chose:"
        yield (
            "too few anchors to hold any out: the gate is closed, everybody is served "
            f"{how} {fallback}"
        )
    elif chosen and found is None:
        own = "the adapter's own" if fallback.shots == (0,) else f"as {STRANGERS} chose"
        yield f"too few anchors to hold any out: the strength is {own}, untested"


def _gains(found: Found) -> tuple[Gain, ...]:
    gains, outer = [], found.outer
    for place, shots in enumerate(found.plan.shots):
        warm, baseline = outer.quality["auto"][place], outer.baseline[place]
        known = ~np.isnan(warm) & ~np.isnan(baseline)
        low, high = bootstrap_interval((warm - baseline)[known, None], rng=0)
        gains.append(
            Gain(
                shots,
                int(known.sum()),
                float(warm[known].mean()) if known.any() else float("nan"),
                float(baseline[known].mean()) if known.any() else float("nan"),
                outer.baseline_names[place],
                found.metric,
                float(low[0]),
                float(high[0]),
            )
        )
    return tuple(gains)
