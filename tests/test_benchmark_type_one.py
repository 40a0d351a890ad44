"""Type-I error: the benchmark in small, on differences whose answer is known."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from coldstart.statistics import sign_flip_p

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("type_one")


def differences(rng, n_people):
    """Most are zero, the others skewed, and there is a gain."""
    return (rng.beta(2, 3, size=n_people) - 0.2) * (rng.random(n_people) < 0.4)


def test_with_signs_flipped_at_random_one_in_twenty_is_rejected(script):
    rng = np.random.default_rng(3)
    gain = differences(rng, 250)
    assert sign_flip_p(gain[:, None], rng=0)[0] < 0.001
    found = script.rejections(gain, 600, rng)
    assert set(found) == {"sign flips", "bootstrap", "studentised"}
    # 4 binomial standard errors of 600 replicates
    assert all(share == pytest.approx(0.05, abs=0.036) for share in found.values())


def test_a_limit_is_kept_by_every_test_and_interval_or_not_at_all(script, monkeypatch):
    rng = np.random.default_rng(4)
    gain = differences(rng, 60)
    monkeypatch.setattr(script, "LIMITS", (0.0, 1.0))
    found = script.measured(gain, 20, rng)
    assert (found["people"], found["identical"], found["kept"]) == (60, 1.0, True)
    assert found["unchanged"] == round((gain == 0).mean(), 3)
    liberal = script.REJECTED | {"always": lambda values, _: np.ones(values.shape[1], bool)}
    monkeypatch.setattr(script, "REJECTED", liberal)
    monkeypatch.setattr(script, "LIMITS", (0.0, 0.99))
    found = script.measured(gain, 20, rng)
    assert found["rejected"]["always"] == 1.0
    assert not found["kept"]
