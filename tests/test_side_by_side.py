"""Two runs side by side: paired by person, with the differences that numpy finds."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from coldstart.datasets import make_cross_domain
from coldstart.errors import ArtefactError
from coldstart.evaluation import evaluate
from coldstart.side_by_side import compare
from coldstart.statistics import holm

SHOTS = (0, 1)
ARMS = ["popularity", "mean-prior"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same people with four and with twelve factors."""
    logs = make_cross_domain(260, 70, 60, rng=2)
    paths = []
    for factors in (4, 12):
        folder = tmp_path_factory.mktemp(f"run{factors}")
        evaluate(*logs, arms=ARMS, shots=SHOTS, factors=factors, trials=3).save(folder)
        paths.append(folder / "results.json")
    return paths


def people(path, arm, shots, metric):
    table = pl.read_parquet(path.with_name("people.parquet"))
    kept = table.filter(arm=arm, shots=shots, truth="left").sort("person")
    return kept["person"].to_list(), kept[metric].to_numpy()


def test_differences_are_those_of_the_same_people(runs):
    found = compare(*runs)
    assert [(pair.arm, pair.shots) for pair in found.pairs] == [(a, k) for a in ARMS for k in SHOTS]
    for pair in found.pairs:
        (ids, first), (same, second) = (people(p, pair.arm, pair.shots, "ndcg") for p in runs)
        assert ids == same
        assert pair.users == len(ids)
        means = pair.first, pair.second, pair.difference
        expected = first.mean(), second.mean(), (second - first).mean()
        assert means == pytest.approx(expected, abs=1e-12)
        assert pair.ci_low <= pair.difference <= pair.ci_high
    popular = [pair for pair in found.pairs if pair.arm == "popularity"]
    assert all((pair.difference, pair.p) == (0.0, 1.0) for pair in popular)
    assert any(pair.difference for pair in found.pairs)


def test_arms_of_the_verdicts_are_compared_where_they_are_others(tmp_path):
    logs = make_cross_domain(260, 70, 60, rng=2)
    paths = []
    for arm in ("neighbours", "linear-rows"):
        settings = {"shots": (0,), "factors": 4, "trials": 3}
        evaluate(*logs, arms=["popularity", arm], **settings).save(tmp_path / arm)
        paths.append(tmp_path / arm / "results.json")
    found = compare(*paths)
    assert [pair.arm for pair in found.pairs] == ["popularity", "neighbours | linear-rows"]
    pair = found.pairs[1]
    (ids, first), (same, second) = (
        people(path, arm, 0, "ndcg")
        for path, arm in zip(paths, ("neighbours", "linear-rows"), strict=True)
    )
    assert ids == same
    assert pair.difference == pytest.approx((second - first).mean(), abs=1e-12)
    assert all(verdict.endswith(".") for verdict in found.verdicts)
    assert "in one of them only: linear-rows, neighbours" in found.notes


def test_p_values_are_corrected_over_all_pairs(runs):
    pairs = compare(*runs).pairs
    assert [p.p_holm for p in pairs] == holm([p.p for p in pairs]).tolist()


def test_any_metric_can_be_compared(runs):
    assert compare(*runs, metric="recall").metric == "recall@10"
    with pytest.raises(ValueError, match="unknown metric 'auc'"):
        compare(*runs, metric="auc")


def test_only_people_of_both_count_and_other_splits_are_remarked(runs, tmp_path):
    for name in ("results.json", "people.parquet"):
        shutil.copy(runs[1].with_name(name), tmp_path)
    table = pl.read_parquet(tmp_path / "people.parquet")
    some = table["person"].unique().sort().head(20)
    table.filter(pl.col("person").is_in(some.implode())).write_parquet(tmp_path / "people.parquet")
    values = json.loads((tmp_path / "results.json").read_text())
    values["config"]["split"]["sha256"] = "another"
    values["config"]["n"] = 5
    (tmp_path / "results.json").write_text(json.dumps(values))
    found = compare(runs[0], tmp_path / "results.json")
    assert found.people[1:] == (20, 20)
    assert max(pair.users for pair in found.pairs) == 20
    assert "n differs: 10 and 5" in found.notes
    assert any(note.startswith("the splits differ") for note in found.notes)


def test_several_seeds_are_a_second_level(tmp_path):
    logs = make_cross_domain(260, 70, 60, rng=2)
    paths = []
    for factors in (4, 12):
        folder = tmp_path / str(factors)
        settings = {"arms": ["mean-prior"], "shots": (1,), "trials": 2}
        evaluate(*logs, factors=factors, seeds=2, **settings).save(folder)
        paths.append(folder / "results.json")
    (pair,) = compare(*paths).pairs
    seeds = pl.read_parquet(paths[0].with_name("people.parquet")).filter(truth="left")["seed"]
    by_seed = [
        np.mean(
            [
                pl.read_parquet(path.with_name("people.parquet"))
                .filter(truth="left", seed=seed)["ndcg"]
                .mean()
                for seed in seeds.unique().sort()
            ]
        )
        for path in paths
    ]
    assert pair.difference == pytest.approx(by_seed[1] - by_seed[0], abs=1e-12)
    assert pair.ci_low < pair.difference < pair.ci_high


def test_runs_without_people_in_common_are_refused(runs, tmp_path):
    evaluate(
        *make_cross_domain(260, 70, 60, rng=2), arms=["cold"], shots=SHOTS, factors=4, trials=1
    ).save(tmp_path)
    with pytest.raises(ArtefactError, match="have no people with the same arm"):
        compare(runs[0], tmp_path / "results.json")
