"""Time and peak memory of training up to 20 million interactions, beside implicit's ALS.

    python benchmarks/scale.py

fits each model in a process of its own and writes `benchmarks/results/scale.json`: the largest
matrix, and the cost against the number of interactions and against the number of factors. It exits
with 1 when one of our fits needs more memory than the limit. ``--quick`` is a trial with a
twentieth of the interactions, which writes nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import scipy.sparse as sp
from matrices import long_tailed
from models import LIBRARIES, SEED, fit, row_prior
from provenance import provenance

RESULTS = Path(__file__).parent / "results" / "scale.json"
N_USERS, N_ITEMS, INTERACTIONS, FACTORS = 140_000, 27_000, 20_000_000, 64
CURVE_INTERACTIONS = (1_000_000, 3_000_000, 10_000_000, INTERACTIONS)
CURVE_FACTORS, CURVE_AT = (32, 64, 128, 256), 3_000_000
SWEEPS = 5
WORKS = ("cg", "exact", "cg, per-row prior")  # the last two of this library alone, at these points
ALONE = ((INTERACTIONS, FACTORS), (CURVE_AT, CURVE_FACTORS[-1]))
LIMIT_MEMORY = 1.2  # of inputs, transposed matrix and factors
BYTES = 1 if sys.platform == "darwin" else 1024  # in which the peak memory of a process is counted
FEW = 500  # rows and columns of the first fit, which loads what is compiled


def sizes(shrink: int) -> list[tuple[int, int]]:
    """Interactions and factors of all points of both curves."""
    points = [(interactions, FACTORS) for interactions in CURVE_INTERACTIONS]
    points += [(CURVE_AT, factors) for factors in CURVE_FACTORS if factors != FACTORS]
    return [(interactions // shrink, factors) for interactions, factors in points]


def measured(library: str, work: str, matrix: Path, factors: int) -> dict[str, Any]:
    """What a process of its own says of one fit."""
    command = [sys.executable, __file__, "--child", library, work, str(matrix), str(factors)]
    child = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(child.stdout)


def fitted_once(library: str, work: str, matrix: sp.csr_matrix, factors: int) -> dict[str, Any]:
    """Seconds and memory of one fit in this process, of which a small one has been before."""
    solver = "cholesky" if work == "exact" else "cg"
    prior = row_prior(matrix.shape[0], factors) if work.endswith("prior") else None
    few = prior and prior.take(range(FEW))
    fit(library, matrix[:FEW, :FEW], factors, 1, solver=solver, prior=few)
    before = _resident_and_peak_reset()
    began = time.perf_counter()
    fit(library, matrix, factors, SWEEPS, solver=solver, prior=prior)
    seconds = time.perf_counter() - began
    peak = _peak()
    one_matrix = sum(part.nbytes for part in (matrix.data, matrix.indices, matrix.indptr))
    transposed = one_matrix + 4 * (matrix.shape[1] - matrix.shape[0])
    inputs = one_matrix + (
        sum(part.nbytes for part in (prior.mean, *prior.parts())) if prior else 0
    )
    expected = inputs + transposed + 4 * factors * sum(matrix.shape)
    return {
        "library": library,
        "work": work,
        "interactions": matrix.nnz,
        "factors": factors,
        "seconds": round(seconds, 3),
        "peak_bytes": peak,
        "fit_bytes": inputs + peak - before,  # the inputs were there before
        "expected_bytes": expected,
        "memory": round((inputs + peak - before) / expected, 3),
    }


def _resident_and_peak_reset() -> int:
    """Bytes of this process that are resident; where that can be, the peak is set back to it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS") or _peak()


def _peak() -> int:
    """The most bytes that were ever resident, or were since the peak was set back."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES


def _status(name: str) -> int:
    """Bytes from the line of that name in what Linux says of this process; 0 elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Measure, report on stdout, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth, writing nothing")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        library, work, file, factors = options.child
        print(json.dumps(fitted_once(library, work, sp.load_npz(file), int(factors))))
        return
    shrink = 20 if options.quick else 1
    shape = (int(N_USERS / shrink**0.5), int(N_ITEMS / shrink**0.5))  # as dense as the large one
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "matrix.npz")
        for interactions, factors in sizes(shrink):
            sp.save_npz(file, long_tailed(*shape, interactions, SEED), compressed=False)
            alone = (interactions * shrink, factors) in ALONE
            fits = [(library, WORKS[0]) for library in LIBRARIES]
            fits += [(LIBRARIES[-1], work) for work in WORKS[1:] if alone]
            for library, work in fits:
                found.append(measured(library, work, file, factors))
                print(_line(found[-1]), flush=True)
    if not options.quick:
        study = {**provenance(), "seeds": [SEED], "shape": shape, "sweeps": SWEEPS}
        study |= {"limit_memory": LIMIT_MEMORY, "fits": found}
        RESULTS.write_text(json.dumps(study, indent=1) + "\n")
    most = max(row["memory"] for row in found if row["library"] == "coldstart")
    sys.exit(0 if most <= LIMIT_MEMORY or options.quick else 1)


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['library']}, {row['work']}, {row['interactions']:,} interactions, "
        f"{row['factors']} factors: "
        f"{row['seconds']:.2f} s, peak {row['peak_bytes'] / 1e9:.2f} GB, "
        f"{row['memory']:.2f} of inputs, transposed matrix and factors"
    )


if __name__ == "__main__":
    main()
