"""Measure everything again, and write the results and the tables made from them.

    python benchmarks/run.py

calls the scripts and pytest one after the other, each a process of its own, on an otherwise idle
machine, and makes the tables at the end even where a limit was broken, which it exits with 1 for.
`--only` measures some of them. `--data` is where the real logs lie.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTEST = ("-m", "pytest", str(HERE), "-n0", "--benchmark-enable", "--benchmark-json")
READING = ("limits", "time_to_quality", "type_one", "reference")  # these read the real logs
SCRIPTS = {
    "ratios": "ratios.py",
    "scale": "scale.py",
    "compile": "compile_time.py",
    "limits": "limits.py",
    "time_to_quality": "time_to_quality.py",
    "type_one": "type_one.py",
    "evaluation_scale": "evaluation_scale.py",
    "gate": "gate.py",
    "reference": "reference.py",
}
NAMES = ("groups", *SCRIPTS)
TABLES = ("tables.py", "readme_table.py")


def arguments(name: str, data: Path) -> list[str]:
    """What Python is called with to measure what has this name."""
    if name == "groups":
        return [*PYTEST, str(HERE / "results" / "groups.json")]
    return [str(HERE / SCRIPTS[name]), *(["--data", str(data)] if name in READING else [])]


def main() -> None:
    """Call what was asked for and report what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    options = parser.parse_args()
    failed = [name for name in options.only if _fails(name, arguments(name, options.data))]
    failed += [script for script in TABLES if _fails(script, [str(HERE / script)])]
    if failed:
        sys.exit(f"failed, or broke a limit: {', '.join(failed)}")


def _fails(name: str, given: list[str]) -> bool:
    print(f"== {name}", flush=True)
    return subprocess.run([sys.executable, *given], cwd=HERE.parent).returncode != 0


if __name__ == "__main__":
    main()
