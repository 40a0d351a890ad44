"""The evaluation of very many people, in small: all of it happens, and comes out as it should."""

import importlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coldstart.metrics import METRICS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("evaluation_scale")


def test_every_person_with_a_truth_has_a_line_for_each_arm(script, tmp_path):
    found = script.evaluated(tmp_path, 300, 90)
    people = pl.read_parquet(tmp_path / "people.parquet")
    assert set(people.columns) == {"person", "arm", *METRICS}
    assert people.group_by("arm").len()["len"].to_list() == [300, 300]
    assert people.null_count().sum_horizontal().item() == 0
    for arm, (mean, low, high) in found["ndcg"].items():
        assert people.filter(arm=arm)["ndcg"].mean() == pytest.approx(mean, abs=1e-12)
        assert low < mean < high
    shares = [found["comparison"][name] for name in ("gain", "lose", "unchanged")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    assert found["seconds"] == pytest.approx(sum(found["parts"].values()), abs=0.05)


def test_what_comes_back_is_not_to_be_found(script):
    held, *_ = script.inputs(300, 90, np.random.default_rng(0))
    assert (np.diff(held.history(1).indptr) == 1).all()
    assert held.truth(1).multiply(held.history(1)).nnz == 0
