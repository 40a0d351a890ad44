"""What was measured, when and where: what every results file begins with."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from typing import Any

from coldstart import machine


def provenance() -> dict[str, Any]:
    """Commit, date, CPU, cores that may be used, and versions.

    The commit ends in ``-dirty`` where code differs from it.
    """
    commit = _git("rev-parse", "--short", "HEAD").stdout.strip()
    dirty = _git("status", "--porcelain", "--", ":/*.py").stdout
    return {
        "commit": f"{commit}-dirty" if dirty else commit,
        "date": datetime.now(timezone.utc).date().isoformat(),
        **machine.described(),
    }


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
