"""Limits in seconds and memory, each measured in a child process of its own on two cores.

    python benchmarks/limits.py --data ../shared/data

writes `benchmarks/results/limits.json` and exits with 1 when a limit is broken. `--only NAME`
measures one of them and writes nothing. The commands begin with an empty cache of compiled kernels,
so the first of them pays for compiling, as it does on a fresh machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from provenance import provenance

RESULTS = Path(__file__).parent / "results" / "limits.json"
CORES = 2
SEED = 0
BYTES = 1 if sys.platform == "darwin" else 1024  # in which the peak memory of a child is counted


@dataclass(frozen=True)
class Limit:
    """What a command may cost: seconds, the median of its runs, and gigabytes at its peak."""

    name: str
    arguments: tuple[str, ...]
    seconds: float
    gigabytes: float | None = None
    runs: int = 1


def limits(data: Path) -> list[Limit]:
    """All limits, in the order in which they are measured."""
    file = data / "amazon" / "interactions.csv.gz"
    logs = "--source", f"{file}#Food", "--target", f"{file}#Kitchen"
    evaluate = "evaluate", "--seed", str(SEED)
    shots = "--shots", "0,1,2,5"
    return [
        Limit("default", evaluate, 60),
        Limit("food-kitchen", (*evaluate, *logs, *shots), 120, gigabytes=3),
        Limit("auto", (*evaluate, *logs, *shots, "--arms", "auto"), 300),
        Limit("help", ("--help",), 0.7, runs=5),
    ]


def measured(limit: Limit, environment: dict[str, str]) -> dict[str, Any]:
    """Run the command of a limit, and say what it cost and whether that is within the limit."""
    runs = [run_command(limit.arguments, environment) for _ in range(limit.runs)]
    seconds = median(run[0] for run in runs)
    gigabytes = max(run[1] for run in runs)
    return {
        "name": limit.name,
        "command": " ".join(["coldstart", *limit.arguments]),
        "seconds": round(seconds, 3),
        "limit_seconds": limit.seconds,
        "peak_gigabytes": round(gigabytes, 3),
        "limit_gigabytes": limit.gigabytes,
        "runs": limit.runs,
        "kept": seconds <= limit.seconds and gigabytes <= (limit.gigabytes or float("inf")),
    }


def run_command(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak gigabytes of one run, which must succeed."""
    program = str(Path(sysconfig.get_path("scripts"), "coldstart"))
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        child = subprocess.Popen(
            [program, *arguments], stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            sys.exit(f"coldstart {' '.join(arguments)} failed: {errors.read().decode().strip()}")
    return seconds, usage.ru_maxrss * BYTES / 1e9


def main() -> None:
    """Measure, report on stdout, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=[limit.name for limit in limits(Path())])
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # children inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    found = []
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        for limit in limits(options.data):
            if options.only in (None, limit.name):
                found.append(measured(limit, environment))
                print(_line(found[-1]), flush=True)
    if options.only is None:
        study = {**provenance(), "seeds": [SEED], "measurements": found}
        RESULTS.write_text(json.dumps(study, indent=1) + "\n")
    sys.exit(0 if all(row["kept"] for row in found) else 1)


def _line(row: dict[str, Any]) -> str:
    memory = f" of {row['limit_gigabytes']}" if row["limit_gigabytes"] else ""
    return (
        f"{row['name']}: {row['seconds']:.2f} of {row['limit_seconds']} s, "
        f"{row['peak_gigabytes']:.2f}{memory} GB, {'kept' if row['kept'] else 'BROKEN'}"
    )


if __name__ == "__main__":
    main()
