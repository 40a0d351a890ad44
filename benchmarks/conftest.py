"""What ``--benchmark-json`` keeps of timings: where they come from, and one row for each."""

from __future__ import annotations

from typing import Any

from .provenance import provenance

STATISTICS = ("median", "min", "iqr", "rounds")


def pytest_benchmark_update_json(benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    rows = [
        {
            "group": timed.group,
            **timed.params,
            **{name: getattr(timed.stats, name) for name in STATISTICS},
        }
        for timed in benchmarks
    ]
    output_json.clear()
    output_json.update(provenance(), seconds=rows)
