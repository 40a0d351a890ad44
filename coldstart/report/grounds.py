"""What the figures rest on: data hygiene, how arms were tuned, settings, and the way there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coldstart.report.run import Run, part, parts
from coldstart.report.table import Line, Table, plain
from coldstart.report.wording import NOTHING, count, decimals, number, percent

__all__ = ["gate", "hygiene", "reproduction", "settings", "tuning"]

_LEVELS = {"ok": ("✓", "Fine"), "note": ("i", "Note"), "warning": ("!", "Warning")}
_TOLD = {  # what stands in the table of settings; the rest is in the whole of them
    "side": "held out",
    "protocol": "protocol",
    "order": "order of what comes back",
    "levels": "levels",
    "test_share": "share that is tested",
    "validation_share": "share that validates",
    "shots": "numbers of shots",
    "metric": "metric",
    "n": "length of lists",
    "factors": "factors",
    "seeds": "seeds",
    "seed": "seed",
    "trials": "trials per arm",
    "budget": "budget in seconds",
    "test": "tested",
    "validation": "validated on",
    "eligible": "eligible",
}


def gate(run: Run) -> list[str]:
    """The lines in which the gate says what it decided."""
    text = part(run.values, "gate").get("text")
    return [line for line in str(text or "").splitlines() if line.strip()]


def hygiene(run: Run) -> list[dict[str, Any]]:
    """Every check with its level as a sign and a word; warnings first."""
    order = ["warning", "note", "ok"]
    checks = []
    for row in parts(run.values, "hygiene"):
        level = str(row.get("level"))
        sign, word = _LEVELS.get(level, ("i", level))
        numbers = {str(k): _plain(v) for k, v in part(row, "numbers").items()}
        checks.append(
            {
                "check": str(row.get("check", "")),
                "level": level if level in _LEVELS else "note",
                "sign": sign,
                "word": word,
                "text": str(row.get("text", "")),
                "numbers": numbers,
            }
        )
    return sorted(checks, key=lambda check: order.index(check["level"]))


def tuning(run: Run) -> dict[str, Any] | None:
    """Number of trials of every arm, its search space and its best settings; None without arms."""
    if not run.arms:
        return None
    trials, timings = part(run.values, "trials"), part(run.values, "timings")
    if not trials and not timings:
        return None
    lines = []
    for arm in run.arms:
        seconds = part(timings, arm)
        tried = count(_each(_once(part(trials, arm)))) if arm in trials else NOTHING
        cells = [tried, _seconds(seconds.get("fit")), _seconds(seconds.get("predict"))]
        lines.append(Line(arm, [*map(plain, cells)], "uses the source" * run.uses_source(arm)))
    columns = ["arm", "trials", "choosing and fitting, s", "serving, s"]
    caption = "Trials of every arm for each number of shots, and seconds"
    return {
        "known": bool(trials),
        "table": Table(caption, columns, lines),
        "arms": [found for arm in run.arms if (found := _searched(run, arm, part(trials, arm)))],
    }


def settings(run: Run) -> dict[str, Any]:
    """Settings, sizes of the logs and versions as tables, and the whole of them as JSON."""
    config = run.config
    told = {
        title: config[key]
        for key, title in _TOLD.items()
        if config.get(key) not in (None, []) and not (key == "seed" and config.get("seeds"))
    }
    machine = {key: config[key] for key in ("python", "cpu", "cores", "blas") if config.get(key)}
    return {
        "settings": _pairs("Settings", ["setting", "value"], told),
        "sizes": _sizes(run),
        "versions": _pairs(
            "Versions and machine", ["what", "version"], part(config, "versions") | machine
        ),
        "whole": json.dumps(config, indent=1, ensure_ascii=False, default=str),
    }


def _pairs(caption: str, columns: list[str], values: Mapping[str, Any]) -> Table | None:
    """Names and values; None where there are none."""
    lines = [Line(name, [plain(_plain(value), word=True)]) for name, value in values.items()]
    return Table(caption, columns, lines) if lines else None


def reproduction(run: Run) -> dict[str, Any]:
    """The command, and the hash of the split where it was saved."""
    files = part(run.config, "files")
    return {
        "command": str(run.config.get("command") or ""),
        "files": [f"{side}: {path}" for side, path in files.items() if path],
        "split": str(part(run.config, "split").get("sha256") or ""),
    }


def _searched(run: Run, arm: str, found: Mapping[str, Any]) -> dict[str, Any] | None:
    space = part(found, "space")
    tried = _once(found)
    if not space and not tried:
        return None
    chosen = [row for row in tried if row.get("chosen")]
    digits = decimals((row.get("quality"), None, None) for row in chosen)
    lines = [
        Line(
            count(row.get("shots")),
            [
                plain(_setting(part(row, "setting")), word=True),
                plain(percent(row.get("quality"), digits)),
            ],
        )
        for row in chosen
    ]
    caption = f"Settings that validation people chose for {arm}"
    columns = ["shots", "setting", run.metric]
    return {
        "arm": arm,
        "space": [(str(knob), _plain(values)) for knob, values in space.items()],
        "count": count(len(tried)),
        "table": Table(caption, columns, lines) if lines else None,
    }


def _once(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Trials of the first of several splits: every arm makes as many on each."""
    return [row for row in parts(found, "trials") if not row.get("sitting")]


def _each(tried: list[dict[str, Any]]) -> int:
    """Trials for one number of shots, the most of any."""
    shots = [row.get("shots") for row in tried]
    return max((shots.count(k) for k in set(shots)), default=0)


def _setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{knob} {_plain(value)}" for knob, value in values.items()) or "its own"


def _sizes(run: Run) -> Table | None:
    titles = {"source": "source", "target": "target", "train": "target without those held out"}
    lines = [
        Line(
            title,
            [
                plain(count(part(run.config, key).get(number)))
                for number in ("rows", "columns", "interactions", "repeated")
            ],
        )
        for key, title in titles.items()
        if part(run.config, key)
    ]
    rows, columns = ("items", "people") if run.people == "items" else ("people", "items")
    titled = ["log", rows, columns, "interactions", "repeated pairs"]
    return Table("Sizes of the logs", titled, lines) if lines else None


def _seconds(value: Any) -> str:
    known = number(value)
    return NOTHING if known != known else f"{known:,.1f}"


def _plain(value: Any) -> str:
    """A value of a setting as one writes it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    return NOTHING if value is None else str(value)
