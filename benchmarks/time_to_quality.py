"""How long until a warm model is as good as a cold one gets, on real pairs of catalogs.

    python benchmarks/time_to_quality.py --data ../shared/data

lets `coldstart benchmark` measure each pair, in a process of its own, and writes what it found to
`benchmarks/results/time_to_quality.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from provenance import provenance

RESULTS = Path(__file__).parent / "results" / "time_to_quality.json"
SEED = 0
PAIRS = {
    "amazon Food -> Kitchen": ("amazon", "Food", "Kitchen"),
    "epinions cat03 -> cat04": ("epinions", "cat03", "cat04"),
    "yelp Restaurants -> Nightlife": ("yelp", "Restaurants", "Nightlife"),
}


def measured(data: Path, folder: str, source: str, target: str) -> dict[str, Any]:
    """What `coldstart benchmark` writes."""
    file = data / folder / "interactions.csv.gz"
    logs = ("--source", f"{file}#{source}", "--target", f"{file}#{target}")
    with tempfile.TemporaryDirectory() as out:
        command = (sys.executable, "-m", "coldstart", "benchmark", *logs)
        subprocess.run([*command, "--seed", str(SEED), "--out", out], check=True)
        return json.loads(Path(out, "benchmark.json").read_text())


def main() -> None:
    """Measure all pairs and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    study = {**provenance(), "seeds": [SEED]}
    study["pairs"] = {name: measured(options.data, *pair) for name, pair in PAIRS.items()}
    RESULTS.write_text(json.dumps(study, indent=1) + "\n")


if __name__ == "__main__":
    main()
