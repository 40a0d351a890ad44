"""The first screen of a report: the verdict in a sentence, and the figures that decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coldstart.report.run import Run, part, parts
from coldstart.report.wording import (
    NOTHING,
    count,
    interval,
    listed,
    number,
    percent,
    points,
    ratio,
    shots_told,
)

__all__ = ["Figure", "Headline", "headline"]

_ANSWERS = {
    "gain": "Gain",
    "no gain": "No gain",
    "loss": "Loss",
    "undecided": "Undecided",
    "depends": "It depends",
    "biased": "Biased",
}
_MOST = 4  # figures


@dataclass(frozen=True)
class Figure:
    """One of the big numbers, what it is and what it rests on."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Headline:
    """`first` is the first clause of the verdict, `rest` the others."""

    answer: str
    first: str
    rest: str
    lede: str
    figures: tuple[Figure, ...]


def headline(run: Run) -> Headline:
    """The verdict of the findings, or why there is none."""
    sentence = str(run.findings.get("sentence") or "").strip()
    first, semicolon, rest = (sentence or _missing(run)).partition("; ")
    answer = _ANSWERS.get(str(run.findings.get("answer")), "") if sentence else "No verdict"
    figures = tuple(_figures(run)) if sentence else ()
    return Headline(answer, first + semicolon.strip(), rest, _lede(run), figures)


def _missing(run: Run) -> str:
    with_source = [arm for arm in run.arms if run.uses_source(arm)]
    if not run.arms:
        return "No verdict: these results name no arms"
    if not with_source:
        return "No verdict: no arm that learns from the source was run"
    if len(with_source) == len(run.arms):
        return "No verdict: every arm that was run learns from the source"
    return "No verdict: these results hold no findings"


def _lede(run: Run) -> str:
    """Who was tested, how lists are scored, and what the figures above are of."""
    source, target = run.catalogs
    who = f"{run.tested[:1].upper()}{run.tested[1:]}"
    lost = (
        f"{who} lost all their interactions in {target} before anything was fitted, and were "
        f"served from what is known of them in {source}."
    )
    told = {
        "temporal": f"{who} were served in {target} from what both logs held up to one moment.",
        "launch": f"{who} were served in {target} when a share of its log was there.",
    }.get(run.protocol, lost)
    told += _left_out(run)
    told += f" Lists of {run.n} are scored by {run.metric}, in percent."
    if not run.arm:
        return told
    against = sorted({run.baseline(k) for k in run.shots if run.baseline(k)})
    named = f" ({listed(against)})" if against else ""
    return (
        f"{told} Shown is {run.arm}{run.at_level(0)}, against the strongest way without a "
        f"source{named}: picked by these {run.people} themselves, to its favour. Intervals are 95%."
    )


def _left_out(run: Run) -> str:
    """Who does not count, having nothing to find beyond the largest number of shots."""
    missing = run.findings.get("left_out")
    if not missing:
        return ""
    most = shots_told(run.findings.get("reserved"))
    return f" {count(missing)} more have nothing to find beyond {most}, and are left out."


def _figures(run: Run) -> list[Figure]:
    first, levels = min(run.shots, default=0), parts(run.findings, "levels")
    if levels:
        return [_ratio(row, run.level_label(row.get("level")), "") for row in levels][-_MOST:]
    if len(run.shots) < 2:
        return [_better(run, first), _fates(run, first)]
    return [_better(run, first), _saved(run), _helps(run), _fates(run, first)]


def _better(run: Run, shots: int) -> Figure:
    """How many times as good, or by how many points where the baseline is zero."""
    gain = run.gain(shots)
    against = str(gain.get("baseline") or run.baseline(shots))
    warm, cold = run.mean(run.arm, shots), run.mean(against, shots)
    note = f"{run.metric} {percent(warm)} against {percent(cold)} of {against}"
    return _ratio(gain, f"with {shots_told(shots)}", note)


def _ratio(gain: Mapping[str, Any], when: str, note: str) -> Figure:
    """A gain as a ratio of means, or as points."""
    if number(gain.get("ratio")) > 0:
        low, high = gain.get("ratio_low"), gain.get("ratio_high")
        value, limits = ratio(gain["ratio"], low, high), _between(ratio, low, high)
        label = f"as good, {when}"
    else:
        value = points(gain.get("difference"))
        limits = interval(gain.get("ci_low"), gain.get("ci_high"), signed=True)
        label = f"points better, {when}"
    return Figure(label, value, "; ".join(filter(None, [limits, note])))


def _between(say: Any, low: Any, high: Any) -> str:
    known = number(low) <= number(high)
    return f"{say(low, low, high)} to {say(high, low, high)}" if known else ""


def _saved(run: Run) -> Figure:
    """How many interactions the best arm without a source needs to be as good."""
    saved = part(run.findings, "saved")
    by = str(saved.get("by") or "the best way without a source")
    label = "interactions saved"
    if saved.get("more_than") is not None:
        most = count(saved["more_than"])
        return Figure(label, f"> {most}", f"with {most}, {by} is still below {run.arm} without any")
    if saved.get("interactions") is None:
        return Figure(label, NOTHING, f"what {by} needs to be as good could not be told")
    low, high = (count(saved.get(key)) for key in ("low", "high"))
    limits = "" if low == NOTHING else f"{low} to {high if high != NOTHING else 'more'}; "
    needed = f"{limits}so many {by} needs to equal {run.arm} without any"
    return Figure(label, count(saved["interactions"]), needed)


def _helps(run: Run) -> Figure:
    """Up to how many interactions a gain is shown."""
    graduation = part(run.findings, "graduation")
    label = "interactions until which it helps"
    if graduation.get("more_than") is not None:
        most = count(graduation["more_than"])
        return Figure(label, f"> {most}", f"at {most}, the most that was tested, it still helps")
    if graduation.get("helps_until") is None:
        return Figure("it helps", "nowhere", "no gain is shown at any number of interactions")
    after = graduation.get("shots")
    note = "" if after is None else f"from {count(after)} on no gain is shown"
    if not graduation["helps_until"]:
        return Figure("interactions, there it helps", "only 0", note)
    return Figure(label, count(graduation["helps_until"]), note)


def _fates(run: Run, shots: int) -> Figure:
    """Shares of people who gain and lose."""
    gain = run.gain(shots)
    value = f"{percent(gain.get('gain'), 0)} / {percent(gain.get('lose'), 0)}"
    rest = f"{percent(gain.get('unchanged'), 0)} are unchanged, with {shots_told(shots)}"
    return Figure(f"of {run.people} gain / lose", value, rest)
