"""A study: a results file that grows run by run, and the catalogs that it is made on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provenance import provenance
from reference import PAIRS

from coldstart.datasets import read_interactions
from coldstart.interactions import Interactions

FOLDER = Path(__file__).parent / "results"


@dataclass
class Study:
    """What a results file says at its head, its runs, and what follows from them.

    Runs that the file already has are kept, whatever commit and machine they are of: each says its
    own.
    """

    file: Path
    head: dict[str, Any]
    runs: list[dict[str, Any]]
    summary: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def at(cls, file: Path, **settings: Any) -> Study:
        """Go on with a file, or begin one."""
        runs = json.loads(file.read_text())["runs"] if file.exists() else []
        return cls(file, {**provenance(), **settings}, runs)

    def find(self, **key: Any) -> dict[str, Any] | None:
        """The run with these values, None where there is none."""
        return next((run for run in self.runs if key.items() <= run.items()), None)

    def add(self, run: dict[str, Any]) -> dict[str, Any]:
        """Take in a run; it is written by `save`."""
        self.runs.append({**run, **{name: self.head[name] for name in ("commit", "cpu")}})
        return self.runs[-1]

    def save(self) -> None:
        """Write the file with one line for each run, whole or not at all."""
        parts = [json.dumps(self.head, indent=1).removesuffix("\n}")]
        for name, rows in (("summary", self.summary), ("runs", self.runs)):
            if rows or name == "runs":
                parts.append(f' "{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]")
        unfinished = self.file.with_suffix(".unfinished")
        unfinished.write_text(",\n".join(parts) + "\n}\n")
        os.replace(unfinished, self.file)


def read_pair(data: Path, pair: str) -> tuple[Interactions, Interactions, int]:
    """Source and target of a pair with the mapped side as their users, and the width of models."""
    name, source, target, side, factors = PAIRS[pair]
    file = data / name / "interactions.csv.gz"
    logs = [read_interactions(f"{file}#{domain}") for domain in (source, target)]
    source_log, target_log = (log.T if side == "items" else log for log in logs)
    return source_log, target_log, factors
