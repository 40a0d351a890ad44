"""The investigation: plain differences on one fixed truth, and what is answered by them."""

from dataclasses import replace

import numpy as np
import pytest

from coldstart.effects import effect_size, smallest_detectable
from coldstart.findings import Gain
from coldstart.investigation import (
    WORTHWHILE,
    _answer,
    _whole_answer,
    gains_of,
    headline_arm,
    investigate,
    main_pool,
)
from coldstart.pool import Pool
from coldstart.sitting import FIXED, TWINLESS
from coldstart.statistics import bootstrap_interval, sign_flip_p

ARM, N = "warm:known", 6


@pytest.fixture(scope="module")
def pool(served):
    return served.pool


@pytest.fixture(scope="module")
def found(pool):
    return investigate([pool], "cold", ("Food", "Kitchen"), "users")


def ndcg_by_hand(pool, arm, shots, *, gone=()):
    """NDCG (n_people,) on the fixed truth, NaN without any: scores ranked person by person, without
    what comes back by the most shots.
    """
    (sitting,) = pool.sittings
    held, task = sitting.split.test.held, sitting.task
    (one,) = [served for served in sitting.served if served.arm.name == arm]
    scores = one.arm.scorer(sitting.split.test.source, held.history(shots), shots)
    discounts = 1 / np.log2(np.arange(2, N + 2))
    values = []
    for row, line in enumerate(scores(slice(0, len(held)))):
        begin, end = held.matrix.indptr[row], held.matrix.indptr[row + 1]
        order = held.matrix.indices[begin:end][np.argsort(held.rank[begin:end])].tolist()
        back, truth = set(order[: task.shots[-1]]), set(order[task.shots[-1] :]) - set(gone)
        ranked = sorted(
            set(range(len(line))) - back - set(gone), key=lambda c: (-line[c], task.order[c])
        )
        hits = np.array([column in truth for column in ranked[:N]])
        ideal = discounts[: len(truth)].sum()
        values.append(hits @ discounts / ideal if truth else np.nan)
    return np.array(values)


@pytest.mark.parametrize("shots", [0, 1, 3])
def test_gains_are_plain_differences_on_the_fixed_truth(pool, found, shots):
    (gain,) = [one for one in found.gains if one.shots == shots]
    above, below = (ndcg_by_hand(pool, arm, shots) for arm in (ARM, gain.baseline))
    known = ~np.isnan(above)
    above, below = above[known], below[known]
    difference = above - below
    assert found.users == known.sum()
    assert gain.difference == pytest.approx(difference.mean(), abs=1e-12)
    assert gain.ratio == pytest.approx(above.mean() / below.mean(), rel=1e-12)
    assert gain.effect == pytest.approx(effect_size(difference[:, None])[0], rel=1e-9)
    low, high = bootstrap_interval(difference[:, None], rng=pool.seed)
    assert (gain.ci_low, gain.ci_high) == pytest.approx((low[0], high[0]), abs=1e-12)
    assert gain.p == sign_flip_p(difference[:, None], rng=pool.seed)[0]
    assert gain.gain == pytest.approx((difference > 1e-9).mean(), abs=1e-12)
    assert gain.lose == pytest.approx((difference < -1e-9).mean(), abs=1e-12)
    assert gain.gain + gain.lose + gain.unchanged == pytest.approx(1.0, abs=1e-12)
    assert gain.ratio_low < gain.ratio < gain.ratio_high


def test_they_are_over_the_strongest_arm_without_a_source_at_these_shots(pool, found):
    for gain in found.gains:
        means = {arm: np.nanmean(ndcg_by_hand(pool, arm, gain.shots)) for arm in ("weak", "strong")}
        assert gain.baseline == max(means, key=means.get)


def test_fair_is_the_gain_over_the_arm_that_others_picked(pool, found):
    assert found.fair.baseline == pool.baseline(0)
    assert found.fair.shots == 0
    difference = ndcg_by_hand(pool, ARM, 0) - ndcg_by_hand(pool, found.fair.baseline, 0)
    assert found.fair.difference == pytest.approx(np.nanmean(difference), abs=1e-12)


def test_the_curve_has_every_arm_on_the_same_people_at_every_number_of_shots(pool, found):
    assert len(found.curve) == 3 * 3
    assert {row["users"] for row in found.curve} == {found.users}
    for row in found.curve:
        mean = np.nanmean(ndcg_by_hand(pool, row["arm"], row["shots"]))
        assert row["mean"] == pytest.approx(mean, abs=1e-12)
        assert row["ci_low"] <= row["mean"] <= row["ci_high"]
        assert row["uses_source"] == (row["arm"] == ARM)
        assert found.mean(row["arm"], row["shots"]) == row["mean"]


def test_without_twins_they_are_taken_out_of_lists_and_truth(pool, found):
    (sitting,) = pool.sittings
    told = found.without_twins
    assert told["columns"] == len(sitting.twins)
    for row in told["curve"]:
        mean = np.nanmean(ndcg_by_hand(pool, row["arm"], row["shots"], gone=sitting.twins))
        assert row["mean"] == pytest.approx(mean, abs=1e-12)
    assert [gain["shots"] for gain in told["gains"]] == [0, 1, 3]
    assert told["curve"][0]["mean"] != found.curve[0]["mean"]


def test_without_any_twins_nothing_is_said_of_them(pool):
    (sitting,) = pool.sittings
    served = [
        replace(one, lists={key: ranked for key, ranked in one.lists.items() if key[1] != TWINLESS})
        for one in sitting.served
    ]
    found = investigate([Pool([replace(sitting, served=served)])], "cold", ("a", "b"), "users")
    assert found.without_twins is None


def test_the_smallest_detectable_gain_follows_from_the_width_of_the_interval(found):
    gain = found.gains[0]
    error = (gain.ci_high - gain.ci_low) / (2 * 1.959964)
    told = found.smallest_detectable
    assert told["difference"] == pytest.approx(float(smallest_detectable(error)), rel=1e-9)
    mean = found.mean(gain.baseline, 0)
    assert told["ratio"] == pytest.approx(1 + told["difference"] / mean, rel=1e-9)
    assert told["shots"] == 0


def test_lists_tell_coverage_and_popularity_beside_that_of_the_truth(pool, found):
    assert [(row["arm"], row["shots"]) for row in found.lists] == [
        (arm, k) for arm in pool.arms for k in pool.shots
    ]
    assert {row["truth_popularity"] for row in found.lists} == {pool.truth_popularity()}
    for row in found.lists:
        assert row["coverage"] == pool.coverage(row["arm"], row["shots"], FIXED)
        assert row["popularity"] == pool.popularity(row["arm"], row["shots"])


def test_what_is_found_hangs_together(pool, found):
    assert (found.answer, found.arm, found.reserved) == ("gain", ARM, 3)
    assert found.sentence.startswith("Someone with no history in Kitchen gets")
    assert found.saved.by in ("weak", "strong")
    assert found.levels == []
    assert len(found.groups) == 6
    assert found.gains == gains_of(pool, ARM, FIXED)


def test_levels_have_the_gain_at_the_fewest_shots_of_each_pool(pool, found):
    (sitting,) = pool.sittings
    pools = [
        Pool([replace(sitting, split=replace(sitting.split, level=level))]) for level in (0.1, 1.0)
    ]
    told = investigate(pools, "launch", ("a", "b"), "users")
    assert [level["level"] for level in told.levels] == [0.1, 1.0]
    assert [level["difference"] for level in told.levels] == [found.gains[0].difference] * 2


def without(pool, *arms):
    (sitting,) = pool.sittings
    kept = [one for one in sitting.served if one.arm.name not in arms]
    return Pool([replace(sitting, served=kept)])


def test_without_an_arm_on_either_side_there_is_nothing_to_find(pool):
    for arms in ([ARM], ["weak", "strong"]):
        assert investigate([without(pool, *arms)], "cold", ("a", "b"), "users") is None


def test_the_headline_is_about_auto_or_a_warm_arm_that_validation_people_like_best(pool):
    (sitting,) = pool.sittings
    (one,) = [served for served in sitting.served if served.arm.name == ARM]

    def named(name, quality):
        arm = type("Arm", (), {"name": name, "uses_source": True})()
        return replace(one, arm=arm, validation={0: quality})

    def headline(*arms):
        return headline_arm(Pool([replace(sitting, served=[named(*arm) for arm in arms])]))

    assert headline(("joint", 0.9), ("warm:a", 0.3), ("warm:b", 0.4)) == "warm:b"
    assert headline(("joint", 0.9), ("warm:a", 0.3), ("auto", 0.1)) == "auto"
    assert headline(("joint", 0.9), ("init", 0.3)) == "joint"
    assert headline(("warm:a", float("nan")), ("warm:b", 0.1)) == "warm:b"
    assert headline_arm(without(pool, ARM)) is None


NAN = float("nan")


def gain(difference, p, **more):
    numbers = dict.fromkeys(Gain.__dataclass_fields__, 0.0)
    given = {"difference": difference, "p": p, "shots": 0, "ratio_high": 2.0, **more}
    return Gain(**{**numbers, "baseline": "popularity", **given})


@pytest.mark.parametrize(
    ("levels", "answer"),
    [
        ([(0.1, 0.001), (0.2, 0.001)], "gain"),
        ([(-0.1, 0.001), (0.2, 0.9)], "loss"),
        ([(-0.1, 0.001), (0.2, 0.001)], "depends"),
        ([(-0.1, 0.04), (0.2, 0.04)], "main"),  # corrected, neither is certain
        ([], "main"),
    ],
)
def test_the_answer_of_several_levels_is_that_of_all_that_are_certain(levels, answer):
    rows = [{"difference": difference, "p": p} for difference, p in levels]
    assert _whole_answer("launch", rows, "main") == answer
    assert _whole_answer("sampled", rows, "main") == "biased"


def test_the_main_pool_is_the_beginning_of_a_launch_and_all_anchors_there_are():
    assert main_pool(["few", "many"], "launch") == "few"
    assert main_pool(["few", "many"], "anchors") == "many"
    assert main_pool(["one"], "cold") == "one"


@pytest.mark.parametrize(
    ("gains", "fair", "answer"),
    [
        ([gain(0.1, 0.001)], gain(0.1, 0.001), "gain"),
        ([gain(0.1, 0.03), gain(0.1, 0.5, shots=1)], gain(0.1, 0.03), "undecided"),  # corrected
        ([gain(0.1, 0.02), gain(0.1, 0.5, shots=1)], gain(0.1, 0.02), "gain"),
        ([gain(-0.1, 0.001)], gain(-0.1, 0.001), "loss"),
        # over the arm that test people picked it loses, over the one that others picked it may not
        ([gain(-0.1, 0.001)], gain(0.01, 0.3), "undecided"),
        ([gain(-0.1, 0.001)], gain(-0.01, 0.3), "undecided"),  # for all that is known it gains
        ([gain(0.01, 0.3)], gain(0.01, 0.3), "undecided"),
        ([gain(0.01, 0.3)], gain(0.01, 0.3, ratio_high=1 + WORTHWHILE / 2), "no gain"),
        ([gain(0.01, 0.3)], gain(0.01, 0.3, ratio_high=NAN, ci_high=0.1), "undecided"),
        ([gain(-0.01, 0.3)], gain(-0.01, 0.3, ratio_high=NAN, ci_high=-0.001), "no gain"),
        ([gain(0.0, 1.0)], gain(0.0, 1.0, ratio_high=1.0), "no gain"),
    ],
)
def test_the_answer_is_a_gain_a_loss_none_or_not_decided(gains, fair, answer):
    assert _answer(gains, fair) == answer
