"""The tables of the benchmarks are those that the results files make."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def tables():
    spec = spec_from_file_location("tables", BENCHMARKS / "tables.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_written_from_the_results_files(tables):
    readme = tables.README.read_text()
    assert tables.with_tables(readme) == readme


@pytest.mark.parametrize("name", ["limits", "solver"])
def test_results_say_where_they_were_measured(name):
    study = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text())
    assert {"commit", "date", "cpu", "cores", "python", "versions"} <= study.keys()


def test_every_limit_is_kept():
    study = json.loads((BENCHMARKS / "results" / "limits.json").read_text())
    assert {row["name"] for row in study["measurements"]} == {"default", "food-kitchen", "help"}
    assert all(row["kept"] for row in study["measurements"])
