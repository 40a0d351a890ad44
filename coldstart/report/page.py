"""Everything that the template of a report shows, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldstart.report import fates, gains, grounds, means, served
from coldstart.report.headline import headline
from coldstart.report.mixed import mixed
from coldstart.report.run import Run

__all__ = ["context"]


def context(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the template is filled with; sections without data are None or empty.

    Parameters
    ----------
    results : mapping
        The content of a ``results.json``, of this version or an older one.
    """
    run = Run(results)
    return {
        "run": run,
        "headline": headline(run),
        "means": means.means(run),
        "gains": gains.gains(run),
        "launch": means.launch(run),
        "level_gains": gains.over_levels(run),
        "mixed": mixed(run),
        "fates": fates.fates(run),
        "lists": served.lists(run),
        "without_twins": gains.without_twins(run),
        "gate": grounds.gate(run),
        "examples": served.examples(run),
        "hygiene": grounds.hygiene(run),
        "tuning": grounds.tuning(run),
        "comparisons": gains.comparisons(run),
        "every_metric": means.every_metric(run),
        "settings": grounds.settings(run),
        "reproduction": grounds.reproduction(run),
    }
