"""Is crossing likely to pay? Held-out people say so, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from coldstart.adapters import RidgeAdapter
from coldstart.als import PriorALS
from coldstart.interactions import Interactions
from coldstart.transfer_report import FEW_PEOPLE, Gain
from coldstart.warmstart import WarmStart

__all__ = ["Verdict", "expected_gains", "judged"]

Verdict = Literal["likely", "unlikely", "too few"]

FEWEST = 10  # anchors below which nobody is held out
WORTH = 0.05  # gain, as a share of the baseline, that one would not want to miss


def expected_gains(
    source: Interactions,
    target: Interactions,
    model: PriorALS,
    anchors: int,
    *,
    show_progress: bool = False,
) -> tuple[Gain, ...]:
    """What held-out rows gained from a ridge map, at each number of shots.

    The rows of both logs are mapped; `anchors` of them are in both, and with fewer than 10 none are
    held out. `model` brings the settings of the target model, and the seed.
    """
    if anchors < FEWEST:
        return ()
    warm = WarmStart(
        model,
        RidgeAdapter(),
        rng=model.rng,
        num_threads=model.num_threads,
        show_progress=show_progress,
    )
    return warm.fit(source, target).report_.gains


def judged(gains: Sequence[Gain]) -> tuple[Verdict, str]:
    """The verdict, and why, from what held-out people gained.

    "likely" where the gain at some number of shots is at least 5% of the baseline, and its lower
    bound above zero; "unlikely" where every interval excludes 5%; "too few" otherwise, or with
    fewer than 50 people. Less than 5% does not count, because the people chose the strength too:
    that alone turns nothing into a few percent.
    """
    known = [gain for gain in gains if np.isfinite(gain.low)]
    people = max((gain.people for gain in known), default=0)
    if people < FEW_PEOPLE:
        return "too few", f"{people} could be held out, {FEW_PEOPLE} are needed"
    best = max(known, key=lambda gain: gain.low)
    said = (
        f"the surest gain of held-out people is {best.warm - best.baseline:+.4f} NDCG@10 "
        f"[{best.low:+.4f}, {best.high:+.4f}], at {best.shots} shots, over {best.baseline:.4f} "
        "without a source"
    )
    if any(gain.low > 0 and gain.warm - gain.baseline >= WORTH * gain.baseline for gain in known):
        return "likely", said
    if all(gain.high < WORTH * gain.baseline for gain in known):
        return "unlikely", f"{said}; no interval reaches {WORTH:.0%} more"
    return "too few", f"{said}; the intervals exclude neither nothing nor {WORTH:.0%} more"
