"""The tables of the benchmarks are those that the results files make."""

import json
import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = ("ratios", "groups", "scale", "compile", "limits", "time_to_quality")


@pytest.fixture(scope="module")
def tables():
    return runpy.run_path(str(BENCHMARKS / "tables.py"))


def results(name):
    """What was measured; the test skips until it has been."""
    file = BENCHMARKS / "results" / f"{name}.json"
    if not file.exists():
        pytest.skip(f"{file.name} is not measured yet")
    return json.loads(file.read_text())


def test_the_tables_are_written_from_the_results_files(tables):
    readme = tables["README"].read_text()
    assert tables["with_tables"](readme) == readme


def test_every_table_has_its_results_here(tables):
    assert set(tables["TABLES"]) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_results_say_where_they_were_measured(name):
    study = results(name)
    assert {"commit", "date", "cpu", "cores", "python", "versions"} <= study.keys()
    assert study["seeds"]
    assert not study["commit"].endswith("-dirty")


def test_every_limit_is_kept():
    study = results("limits")
    assert {row["name"] for row in study["measurements"]} == {"default", "food-kitchen", "help"}
    assert all(row["kept"] for row in study["measurements"])


def test_every_ratio_is_kept():
    study = results("ratios")
    solver = {(row["name"], row["factors"]) for row in study["ratios"]}
    for work in ("cg", "cg, per-row prior", "exact"):
        assert {(work, factors) for factors in (64, 128, 256)} <= solver
    assert all(row["ratio"] <= row["limit"] for row in study["ratios"])


def test_every_group_has_a_reference_and_keeps_its_limit():
    rows = results("groups")["seconds"]
    groups = {row["group"] for row in rows}
    assert groups == {"solver", "ranking", "fold-in", "adapters", "end-to-end"}
    assert groups == {row["group"] for row in rows if row["library"] != "coldstart"}
    limited = [row for row in rows if "limit" in row]
    assert limited
    assert all(row["median"] < row["limit"] for row in limited)


def test_every_fit_keeps_its_memory():
    study = results("scale")
    fits = [row for row in study["fits"] if row["library"] == "coldstart"]
    assert max(row["interactions"] for row in fits) == 20_000_000
    assert {row["work"] for row in fits} == {"cg", "exact", "cg, per-row prior"}
    assert all(row["memory"] <= study["limit_memory"] for row in fits)


def test_compiling_stays_within_its_limit():
    study = results("compile")
    assert study["total_seconds"] < study["limit_seconds"]
