"""Everything that the template of a report shows, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldstart.report import fates, grounds, quality
from coldstart.report.headline import headline
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
        "means": quality.means(run),
        "gains": quality.gains(run),
        "launch": quality.launch(run),
        "mixed": quality.mixed(run),
        "fates": fates.fates(run),
        "lists": fates.lists(run),
        "without_twins": fates.without_twins(run),
        "gate": grounds.gate(run),
        "examples": fates.examples(run),
        "hygiene": grounds.hygiene(run),
        "tuning": grounds.tuning(run),
        "settings": grounds.settings(run),
        "reproduction": grounds.reproduction(run),
    }
