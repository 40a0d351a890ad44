"""The README runs, its table is that of the committed results, and docstrings are true."""

import doctest
import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

import coldstart

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MODULES = [
    module.name
    for module in pkgutil.walk_packages(coldstart.__path__, "coldstart.")
    if not module.name.endswith("__main__")
]
OUTER = ["coldstart.adapters.linear", "coldstart.adapters.baselines", "coldstart.datasets.files"]


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "Moved" in capsys.readouterr().out
    assert (tmp_path / "model" / "manifest.json").exists()


def test_the_example_is_about_ten_lines():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    statements = [line for line in example.splitlines() if line.strip()]
    assert len(statements) <= 12


def test_two_commands_do_all_the_set_up():
    commands = re.findall(r"^pip install .*$", README, re.M)
    assert commands == [
        "pip install -e . && coldstart evaluate",
        'pip install -e ".[test]" && pytest',
    ]


def test_the_tables_of_the_readme_are_those_of_the_committed_results():
    script = runpy.run_path(str(ROOT / "benchmarks" / "readme_table.py"))
    assert script["with_tables"](README) == README


def test_links_of_the_readme_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("name", [*MODULES, *OUTER, "coldstart.datasets.synthetic"])
def test_examples_in_docstrings_are_true(name):
    failures, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failures == 0
