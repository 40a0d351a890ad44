"""The tables of the benchmarks are those that the results files make."""

import json
import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = (
    *("ratios", "groups", "scale", "compile", "limits", "time_to_quality"),
    *("type_one", "evaluation_scale"),
)

SECONDS = {"default": 60, "food-kitchen": 120, "auto": 300, "help": 0.7}
RATIOS = {"cg": 1.0, "cg, per-row prior": 1.05, "exact": 1.0, "ranking": 1.0}


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
    rows = {row["name"]: row for row in results("limits")["measurements"]}
    assert {name: row["limit_seconds"] for name, row in rows.items()} == SECONDS
    assert all(row["seconds"] <= row["limit_seconds"] for row in rows.values())
    assert rows["food-kitchen"]["peak_gigabytes"] <= 3


def test_every_ratio_is_kept():
    rows = results("ratios")["ratios"]
    limits = {(work, d): limit for work, limit in RATIOS.items() for d in (64, 128, 256)}
    limits |= {("map, fit", 128): 3.0, ("map, predict", 128): 3.0}
    assert {(row["name"], row["factors"]): row["limit"] for row in rows} == limits
    assert all(row["ratio"] <= row["limit"] for row in rows)


def test_every_group_has_a_reference_and_keeps_its_limit():
    rows = results("groups")["seconds"]
    groups = {row["group"] for row in rows}
    assert groups == {"solver", "ranking", "fold-in", "adapters", "end-to-end"}
    assert groups == {row["group"] for row in rows if row["library"] != "coldstart"}
    limited = [row for row in rows if "limit" in row]
    assert {row["work"] for row in limited} == {
        f"100,000 rows of 0 to 10, {prior} prior" for prior in ("per-row", "shared-matrix")
    }
    assert all(row["median"] < 2 for row in limited)


def test_every_fit_keeps_its_memory():
    study = results("scale")
    fits = [row for row in study["fits"] if row["library"] == "coldstart"]
    assert max(row["interactions"] for row in fits) == 20_000_000
    assert {row["work"] for row in fits} == {"cg", "exact", "cg, per-row prior"}
    assert all(row["memory"] <= 1.2 for row in fits)


def test_compiling_stays_within_its_limit():
    study = results("compile")
    assert study["total_seconds"] < 15


def test_nothing_is_found_too_often_where_there_is_nothing():
    study = results("type_one")
    assert (study["replicates"], study["limits"]) == (2000, [0.035, 0.065])
    assert len({run["pair"] for run in study["runs"]}) == 2
    for run in study["runs"]:
        assert all(0.035 <= share <= 0.065 for share in run["rejected"].values())
        assert run["identical"] == 1.0


def test_a_large_evaluation_keeps_its_limits():
    study = results("evaluation_scale")
    assert (study["people"], study["items"], study["cores"]) == (100_000, 30_000, 2)
    assert len(study["metrics"]) >= 10
    assert study["seconds"] <= 120
    assert study["peak_gigabytes"] <= 4
