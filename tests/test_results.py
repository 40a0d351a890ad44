"""The results file: its schema, no NaN in it, the way back, and saves that leave nothing half."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from coldstart.errors import ArtefactError
from coldstart.results import Comparison, Results, Row

NAN = math.nan
ROW_KEYS = ["arm", "shots", "metric", "n", "mean", "ci_low", "ci_high", "users"]
COMPARISON_KEYS = [
    *("arm", "baseline", "shots", "metric", "n", "difference", "ci_low", "ci_high"),
    *("p", "p_holm", "users", "ratio", "ratio_low", "ratio_high", "effect"),
]
PARTS = ["findings", "gate", "hygiene", "examples", "mixed", "trials"]


@pytest.fixture
def results():
    """Two arms, two numbers of shots; nobody has anything left to find at five shots."""
    rows = [
        Row(arm, shots, metric, 7, *values, users)
        for arm in ("popularity", "warm:ridge")
        for shots, metric, values, users in (
            (1, "ndcg", (0.25, 0.125, 0.5), 31),
            (1, "coverage", (0.75, NAN, NAN), 31),
            (5, "ndcg", (NAN, NAN, NAN), 0),
            (5, "coverage", (0.0625, NAN, NAN), 0),
        )
    ]
    known = Comparison("warm:ridge", "popularity", 1, "ndcg", 7, 0.1, -0.1, 0.3, 0.04, 0.08, 31)
    unknown = Comparison("warm:ridge", "popularity", 5, "ndcg", 7, *[NAN] * 5, 0)
    config = {
        "metric": "ndcg",
        "n": 7,
        "shots": (1, 5),
        "settings": {"warm:ridge": {1: np.float32(0.5), 5: np.inf, "ridges": np.array([1, 3])}},
    }
    timings = {"popularity": {"fit": np.float64(0.5), "predict": 0.25}}
    return Results(config, tuple(rows), (known, unknown), timings)


def test_the_file_has_the_documented_keys_in_the_documented_order(results, tmp_path):
    values = json.loads(results.save(tmp_path).read_text())
    assert list(values) == ["schema", "config", "rows", "comparisons", "timings", *PARTS]
    assert values["schema"] == 1
    assert [list(row) for row in values["rows"]] == [ROW_KEYS] * 8
    assert [list(row) for row in values["comparisons"]] == [COMPARISON_KEYS] * 2


def test_only_what_has_levels_says_at_which(results):
    levelled = replace(results, rows=tuple(replace(row, level=0.3) for row in results.rows))
    values = levelled.to_json()
    assert [list(row) for row in values["rows"]] == [[*ROW_KEYS, "level"]] * 8
    assert [list(row) for row in values["comparisons"]] == [COMPARISON_KEYS] * 2


def test_the_parts_of_a_report_are_written_and_read_back(results, tmp_path):
    parts = {
        "findings": {"answer": "gain", "gains": [{"ratio": 1.5}]},
        "gate": {"arm": "auto", "text": "open"},
        "hygiene": [{"check": "size", "level": "ok", "text": "large", "numbers": {}}],
        "examples": [{"person": "person 1"}],
        "mixed": {"new": 0.25},
        "trials": {"cold": {"space": {"ridge": [2.0]}, "trials": []}},
    }
    loaded = Results.load(replace(results, **parts).save(tmp_path))
    assert {name: getattr(loaded, name) for name in PARTS} == parts


def test_a_file_without_them_is_read_all_the_same(results, tmp_path):
    """Earlier versions wrote neither these parts nor ratios."""
    path = results.save(tmp_path)
    values = json.loads(path.read_text())
    for name in PARTS:
        del values[name]
    for row in values["comparisons"]:
        for name in ("ratio", "ratio_low", "ratio_high", "effect"):
            del row[name]
    path.write_text(json.dumps(values))
    loaded = Results.load(path)
    assert loaded.rows[0] == results.rows[0]
    assert (loaded.findings, loaded.trials, loaded.hygiene) == (None, {}, ())
    assert math.isnan(loaded.comparisons[0].ratio)


def test_people_are_written_beside_the_file_and_replace_older_ones(results, tmp_path):
    for count in (3, 2):
        people = {
            "person": np.array([f"p{row}" for row in range(count)]),
            "seed": np.zeros(count, np.int64),
            "level": np.full(count, NAN),
            "ndcg": np.linspace(0, 1, count),
        }
        replace(results, people=people).save(tmp_path)
        table = pl.read_parquet(tmp_path / "people.parquet")
        assert table["person"].to_list() == people["person"].tolist()
        assert table.schema["ndcg"] == pl.Float64
        assert table["ndcg"].to_list() == people["ndcg"].tolist()
    assert sorted(os.listdir(tmp_path)) == ["people.parquet", "results.json"]
    assert Results.load(tmp_path / "results.json").people is None


@pytest.fixture
def levelled(results):
    """The same rows at two levels; at the second all means are halved."""
    rows = [
        replace(row, level=level, mean=row.mean * factor)
        for level, factor in ((0.1, 1.0), (1.0, 0.5))
        for row in results.rows
    ]
    return replace(results, rows=tuple(rows))


def test_of_several_levels_the_last_is_found_unless_one_is_asked_for(levelled):
    assert levelled.levels() == [0.1, 1.0]
    assert levelled.value("popularity", 1).mean == 0.125
    assert levelled.value("popularity", 1, level=0.1).mean == 0.25
    with pytest.raises(ValueError, match="no row for"):
        levelled.value("popularity", 1, level=0.2)


def test_the_file_holds_null_where_a_number_is_nan_or_infinite(results, tmp_path):
    def refuse(literal):
        raise AssertionError(f"{literal} is not JSON")

    values = json.loads(results.save(tmp_path).read_text(), parse_constant=refuse)
    assert values["rows"][2] == dict(
        zip(ROW_KEYS, ["popularity", 5, "ndcg", 7, None, None, None, 0], strict=True)
    )
    assert values["comparisons"][1]["p_holm"] is None
    assert values["config"]["settings"]["warm:ridge"]["5"] is None


def test_settings_become_plain_values(results):
    values = results.to_json()
    assert values["config"]["shots"] == [1, 5]
    assert values["config"]["settings"]["warm:ridge"] == {"1": 0.5, "5": None, "ridges": [1, 3]}
    assert type(values["timings"]["popularity"]["fit"]) is float


def test_what_was_saved_is_what_is_loaded(results, tmp_path):
    loaded = Results.load(results.save(tmp_path))
    assert loaded.to_json() == results.to_json()
    assert loaded.rows[0] == results.rows[0]
    assert math.isnan(loaded.rows[1].ci_low)
    assert loaded.comparisons[0] == results.comparisons[0]
    assert str(loaded) == str(results)


def test_saving_what_was_loaded_writes_the_same_bytes(results, tmp_path):
    first = results.save(tmp_path / "first")
    second = Results.load(first).save(tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()


def test_the_folder_is_made_and_holds_nothing_but_the_file(results, tmp_path):
    path = results.save(tmp_path / "runs" / "today")
    assert path == tmp_path / "runs" / "today" / "results.json"
    assert os.listdir(path.parent) == ["results.json"]


def test_an_older_file_is_replaced(results, tmp_path):
    results.save(tmp_path)
    path = replace(results, rows=()).save(tmp_path)
    assert Results.load(path).rows == ()
    assert os.listdir(tmp_path) == ["results.json"]


def test_a_save_that_fails_on_the_way_leaves_the_older_file_whole(results, tmp_path, monkeypatch):
    before = results.save(tmp_path).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        replace(results, rows=()).save(tmp_path)
    assert os.listdir(tmp_path) == ["results.json"]
    assert (tmp_path / "results.json").read_bytes() == before


def test_values_that_json_does_not_know_leave_no_folder_behind(results, tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        replace(results, config={"settings": object()}).save(tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot read results from .*results.json: Expecting value"),
        ('{"schema": 1, "config": {', "cannot read results from .*results.json"),
        ("[]", "cannot read results from .*results.json"),
        ("{}", "results.json holds no results: it lacks 'schema'"),
        ('{"schema": 1, "config": {}}', "results.json holds no results: it lacks 'rows'"),
        ('{"schema": 1, "config": {}, "rows": [3]}', "cannot read results from"),
        ('{"schema": 1, "config": {}, "rows": [{"arm": "cold"}]}', "cannot read results from"),
        ('{"schema": 2}', "has schema 2, this version of coldstart reads 1: take the version"),
    ],
)
def test_a_damaged_or_newer_file_is_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ArtefactError, match=reason) as caught:
        Results.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_bytes_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(ArtefactError, match=r"nowhere.json.*No such file"):
        Results.load(tmp_path / "nowhere.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtefactError, match=r"cannot read results from .*binary"):
        Results.load(tmp_path / "binary")


def test_one_row_is_found_by_arm_shots_and_metric(results):
    assert results.value("warm:ridge", 1) is results.rows[4]
    assert results.value("popularity", 5, "coverage") is results.rows[3]


def test_a_row_that_is_not_there_is_answered_with_those_that_are(results):
    known = r"no row for \('cold', 1, 'ndcg'\): known are popularity, warm:ridge; 1, 5; ndcg, cov"
    with pytest.raises(ValueError, match=known):
        results.value("cold", 1)


def test_the_table_has_a_line_per_arm_in_percent_and_no_interval_where_there_is_none(results):
    assert str(results).splitlines() == [
        "ndcg@7 in %  1 shot                5 shots",
        "popularity   25.00 [12.50, 50.00]  nan",
        "warm:ridge   25.00 [12.50, 50.00]  nan",
    ]
    assert results.table("coverage").splitlines()[1] == "popularity       75.00   6.25"


@pytest.mark.parametrize(
    ("seeds", "test", "told"),
    [
        ([0], "sign flips", 0),
        ([0, 1], "Student's t over people and seeds", 1),
        ([0, 1, 2], None, 0),
    ],
)
def test_it_says_what_p_values_are_of_and_that_two_seeds_are_too_few(results, seeds, test, told):
    found = replace(results, config={**results.config, "seeds": seeds})
    assert found.test == (test or "Student's t over people and seeds")
    assert sum("two seeds" in warning for warning in found.warnings()) == told


def test_checks_that_warn_are_told_beside_every_figure(results):
    checks = [{"level": level, "text": f"a {level}."} for level in ("ok", "note", "warning")]
    assert replace(results, hygiene=checks).warnings() == ["warning: a warning."]
