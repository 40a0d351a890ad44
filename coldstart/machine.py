"""Where numbers were measured: what every results file says of the machine and its software."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from coldstart.threads import resolve_threads

__all__ = ["described"]

PACKAGES = ("coldstart", "implicit", "numpy", "scipy", "numba")


def described() -> dict[str, Any]:
    """Name of the CPU, cores that may be used, versions, and which kernels BLAS chose."""
    return {
        "cpu": _cpu(),
        "cores": resolve_threads(0),
        "blas": sorted({_blas(one) for one in threadpool_info() if one["user_api"] == "blas"}),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _blas(library: dict[str, Any]) -> str:
    """Such as openblas 0.3.30 Haswell."""
    said = (library.get(name) for name in ("internal_api", "version", "architecture"))
    return " ".join(part for part in said if part)


def _cpu() -> str:
    """The model where the system names it (Linux), else what Python knows of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
