"""Every example runs as its head says; that of RecTools needs an environment of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ALONE = {"rectools_preset.py"}
SAYS = {
    "implicit_bpr.py": "never seen in books",
    "lightfm_warp.py": "somebody new to both catalogs",
    "web_handler.py": "nobody, after one click",
}


def test_every_example_is_run_here_or_told_why_not():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SAYS, *ALONE}
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"`{name}`" in listed for name in {*SAYS, *ALONE})


def run(*words, cwd):
    command = [sys.executable, "-W", "ignore", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SAYS)
def test_it_runs(name, tmp_path):
    done = run(EXAMPLES / name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


def test_the_half_of_rectools_that_is_ours_runs(tmp_path):
    done = run(EXAMPLES / "rectools_preset.py", "make", tmp_path / "factors.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "factors.npz").stat().st_size > 1000
