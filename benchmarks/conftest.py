"""What ``--benchmark-json`` keeps of timings: where they come from, and one row for each.

A benchmark says what its work is by parameters or `extra_info`: `work`, `library`, `beside` (the
work of the reference that it is compared with, by default its own) and `limit` (seconds).
"""

from __future__ import annotations

from typing import Any

from .models import SEED
from .provenance import provenance

STATISTICS = ("median", "min", "iqr", "rounds")
SAID = ("work", "library", "beside", "limit")


def pytest_benchmark_update_json(benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    output_json.clear()
    output_json.update(provenance(), seeds=[SEED], seconds=[_row(timed) for timed in benchmarks])


def _row(timed: Any) -> dict[str, Any]:
    said = {"library": "coldstart", **(timed.params or {}), **timed.extra_info}
    return {
        "group": timed.group,
        **{name: said[name] for name in SAID if name in said},
        **{name: getattr(timed.stats, name) for name in STATISTICS},
    }
