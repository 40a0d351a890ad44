"""Interactions saved: where the curve of the best arm without a source reaches the one with it."""

from types import SimpleNamespace

import numpy as np
import pytest

from coldstart.saved_interactions import saved

SHOTS = (0, 1, 2, 5)
NAMES = {0: "popularity", 1: "mean-prior", 2: "mean-prior", 5: "cold"}


def pool_of(zero_shot, curve, people=None):
    """People who are worth as much as they are said to be, in the metric that counts."""

    def main(arm, shots, _truth):
        mean = zero_shot if arm == "warm" else curve[SHOTS.index(shots)]
        assert arm == "warm" or arm == NAMES[shots]
        return np.asarray(mean, float)[:, None]

    n = len(zero_shot)
    who = np.arange(n) if people is None else people
    return SimpleNamespace(
        shots=SHOTS,
        seed=3,
        main=main,
        people=who,
        counted=lambda *_: np.ones(n, bool),
    )


def alike(mean, n=40):
    return np.full(n, mean)


def found(zero_shot, curve):
    return saved(pool_of(zero_shot, curve), "warm", NAMES)


@pytest.mark.parametrize(
    ("zero_shot", "interactions", "by"),
    [
        (0.10, 0.0, "popularity"),  # no better than without a source
        (0.05, 0.0, "popularity"),
        (0.15, 0.5, "mean-prior"),
        (0.20, 1.0, "mean-prior"),
        (0.30, 1.5, "mean-prior"),
        (0.44, 3.2, "cold"),  # 0.4 at two, 0.5 at five: reached by the arm at five
        (0.50, 5.0, "cold"),
    ],
)
def test_between_tested_numbers_the_curve_is_straight(zero_shot, interactions, by):
    told = found(alike(zero_shot), [alike(mean) for mean in (0.1, 0.2, 0.4, 0.5)])
    assert told.interactions == pytest.approx(interactions, abs=1e-9)
    assert (told.low, told.high) == pytest.approx((interactions, interactions), abs=1e-9)
    assert told.more_than is None
    assert told.by == by


def test_a_curve_that_never_catches_up_needs_more_than_was_tested():
    told = found(alike(0.6), [alike(mean) for mean in (0.1, 0.2, 0.4, 0.5)])
    assert (told.interactions, told.low, told.high) == (None, None, None)
    assert (told.more_than, told.by) == (5, "cold")


def test_a_curve_that_dips_counts_from_where_it_first_catches_up():
    told = found(alike(0.3), [alike(mean) for mean in (0.1, 0.35, 0.2, 0.5)])
    assert told.interactions == pytest.approx(0.8, abs=1e-9)


def test_limits_are_those_of_people_who_are_drawn_again():
    """Against a bootstrap written out, with draws of its own: 2,000 of them and 4,000."""
    rng = np.random.default_rng(0)
    curve = [rng.normal(mean, 0.2, 60) for mean in (0.1, 0.25, 0.4, 0.55)]
    zero_shot = rng.normal(0.3, 0.2, 60)
    told = found(zero_shot, curve)
    needed = []
    for _ in range(4000):
        who = rng.integers(60, size=60)
        means = [part[who].mean() for part in curve]
        needed.append(np.interp(zero_shot[who].mean(), np.maximum.accumulate(means), SHOTS))
    assert told.low < told.interactions < told.high
    low, high = np.quantile(needed, [0.025, 0.975])
    assert told.low == pytest.approx(low, abs=0.1)
    assert told.high == pytest.approx(high, abs=0.4)


def test_where_some_draws_never_catch_up_there_is_no_upper_limit():
    rng = np.random.default_rng(1)
    curve = [rng.normal(mean, 0.3, 50) for mean in (0.1, 0.2, 0.3, 0.5)]
    zero_shot = 0.45 + rng.normal(0, 0.3, 50)
    told = found(zero_shot, curve)
    assert told.interactions is not None
    assert told.low is not None
    assert told.high is None
    assert told.more_than is None


def test_where_most_draws_never_catch_up_there_is_a_lower_limit_all_the_same():
    rng = np.random.default_rng(2)
    curve = [rng.normal(mean, 0.3, 50) for mean in (0.1, 0.2, 0.3, 0.5)]
    told = found(curve[-1] + 0.05 + rng.normal(0, 0.2, 50), curve)
    assert told.interactions is None
    assert told.more_than == 5
    assert told.low is not None
    assert told.low < 5


def test_people_with_several_values_are_drawn_with_all_of_them():
    """Each twice with the same values: as uncertain as each once, not as twice as many people."""
    rng = np.random.default_rng(2)
    curve = [rng.normal(mean, 0.2, 60) for mean in (0.1, 0.25, 0.4, 0.55)]
    zero_shot = rng.normal(0.3, 0.2, 60)
    once = found(zero_shot, curve)
    doubled = pool_of(np.tile(zero_shot, 2), [np.tile(c, 2) for c in curve], np.tile(range(60), 2))
    assert saved(doubled, "warm", NAMES) == once


def test_the_same_seed_gives_the_same_limits():
    rng = np.random.default_rng(0)
    curve = [rng.normal(mean, 0.2, 60) for mean in (0.1, 0.25, 0.4, 0.55)]
    zero_shot = rng.normal(0.3, 0.2, 60)
    assert found(zero_shot, curve) == found(zero_shot, curve)
