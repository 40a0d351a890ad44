"""Where numbers were measured: what every results file says of the machine and its software."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coldstart.threads import resolve_threads

__all__ = ["described"]

PACKAGES = ("coldstart", "implicit", "numpy", "scipy", "numba")


def described() -> dict[str, Any]:
    """Name of the CPU, cores that may be used, and versions."""
    return {
        "cpu": _cpu(),
        "cores": resolve_threads(0),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    """The model where the system names it (Linux), else what Python knows of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
