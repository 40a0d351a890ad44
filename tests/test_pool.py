"""A pool: who counts, what they are worth, and the table of them."""

import numpy as np
import pytest

from coldstart.effects import effect_size
from coldstart.metrics import METRICS
from coldstart.pool import Pool
from coldstart.seeds import two_level
from coldstart.sitting import FIXED, LEFT, TWINLESS
from coldstart.statistics import bootstrap_interval, sign_flip_p

ARMS = ("weak", "strong", "warm:known")
TRUTHS = (LEFT, FIXED, TWINLESS)
NDCG = list(METRICS).index("ndcg")


@pytest.fixture(scope="module")
def pool(served):
    return served.pool


@pytest.fixture(scope="module")
def halves(served):
    """The same sitting twice, the second one with another seed: two looks at the same people."""
    (first,) = served.pool.sittings
    second = type(first)(**{**vars(first), "split": type(first.split)(**vars(first.split))})
    object.__setattr__(second.split, "seed", 7)
    return Pool([first, second])


def test_it_has_the_arms_shots_and_people_of_its_sittings(pool):
    (sitting,) = pool.sittings
    assert pool.arms == list(ARMS)
    assert (pool.shots, pool.level, pool.seed) == ((0, 1, 3), None, 2)
    assert len(pool.people) == len(set(pool.people)) == len(sitting.ids)
    assert not pool.several
    assert [pool.uses_source(arm) for arm in ARMS] == [False, False, True]


def test_the_same_person_has_the_same_number_in_every_sitting(halves):
    half = len(halves.people) // 2
    assert np.array_equal(halves.people[:half], halves.people[half:])
    assert halves.seeds.tolist() == [2] * half + [7] * half
    assert halves.several


@pytest.mark.parametrize("truth", TRUTHS)
def test_values_are_the_metrics_of_the_lists_and_nan_without_truth(pool, truth):
    for shots in pool.shots:
        (ranked,) = pool.lists("weak", shots, truth)
        values = pool.values("weak", shots, truth)
        for place, measure in enumerate(METRICS.values()):
            expected = measure(ranked.hits, ranked.relevant)
            np.testing.assert_array_equal(values[:, place], expected)
        assert np.array_equal(~np.isnan(values[:, NDCG]), pool.counted(shots, truth))
        assert not np.isnan(pool.of_counted("weak", shots, truth)).any()


def test_on_the_fixed_truth_the_same_people_count_at_every_number_of_shots(pool):
    for truth in (FIXED, TWINLESS):
        counted = [pool.counted(k, truth) for k in pool.shots]
        assert all(np.array_equal(one, counted[-1]) for one in counted)
    assert np.array_equal(pool.counted(3, FIXED), pool.counted(3, LEFT))
    assert pool.counted(0, LEFT).sum() > pool.counted(3, LEFT).sum()


def test_same_people_are_those_with_something_left_at_the_most_shots(pool):
    same = Pool(pool.sittings, same_people=True)
    assert np.array_equal(same.counted(0, LEFT), pool.counted(3, LEFT))
    assert np.array_equal(same.counted(0, FIXED), pool.counted(0, FIXED))


def test_the_baseline_is_the_arm_without_a_source_that_validation_people_like_best(pool):
    for shots in pool.shots:
        quality = {arm: pool.validation(arm, shots) for arm in ("weak", "strong")}
        assert pool.baseline(shots) == max(quality, key=quality.get)
    assert pool.validation("strong", 3) > pool.validation("weak", 3)


def test_the_strongest_is_the_one_that_test_people_like_best(pool):
    for truth in TRUTHS:
        for shots in pool.shots:
            quality = {
                arm: np.nanmean(pool.values(arm, shots, truth)[:, NDCG])
                for arm in ("weak", "strong")
            }
            assert pool.strongest(shots, truth) == max(quality, key=quality.get)


def test_without_an_arm_without_a_source_there_is_neither(served):
    (sitting,) = served.pool.sittings
    only = [one for one in sitting.served if one.arm.uses_source]
    alone = Pool([type(sitting)(**{**vars(sitting), "served": only})])
    assert alone.baseline(0) is alone.strongest(0, FIXED) is None


def test_with_one_seed_people_are_resampled(pool):
    values = pool.of_counted("strong", 0, LEFT) - pool.of_counted("weak", 0, LEFT)
    mean, low, high = pool.summary(values, pool.counted(0, LEFT))
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-12, atol=1e-15)
    expected = bootstrap_interval(values, rng=pool.seed)
    np.testing.assert_array_equal([low, high], expected)
    p = pool.p_values(values, pool.counted(0, LEFT))
    np.testing.assert_array_equal(p, sign_flip_p(values, rng=pool.seed))


def test_with_several_seeds_they_are_a_second_level(halves):
    counted = halves.counted(0, LEFT)
    values = halves.of_counted("strong", 0, LEFT) - halves.of_counted("weak", 0, LEFT)
    found = two_level(values, halves.people[counted], halves.seeds[counted], rng=halves.seed)
    mean, low, high = halves.summary(values, counted)
    np.testing.assert_array_equal([mean, low, high], [found.mean, found.low, found.high])
    np.testing.assert_array_equal(halves.p_values(values, counted), found.p)


def test_of_nobody_nothing_is_known(pool):
    nobody = np.zeros((0, 3))
    for part in pool.summary(nobody, np.zeros(len(pool.people), bool)):
        assert np.isnan(part).all()


def test_ratios_are_those_of_the_means(pool):
    above, below = (pool.of_counted(arm, 0, FIXED)[:, [NDCG]] for arm in ("strong", "weak"))
    ratio, low, high = pool.ratio(above, below, pool.counted(0, FIXED))
    assert ratio[0] == pytest.approx(above.mean() / below.mean(), rel=1e-12)
    assert low[0] < ratio[0] < high[0]
    assert np.isfinite(effect_size(above - below)).all()


def test_with_several_seeds_a_ratio_has_the_interval_of_both_levels(halves):
    counted = halves.counted(0, LEFT)
    above, below = (halves.of_counted(arm, 0, LEFT)[:, [NDCG]] for arm in ("strong", "weak"))
    ratio, low, high = halves.ratio(above, below, counted)
    means = [halves.summary(values, counted)[0][0] for values in (above, below)]
    assert ratio[0] == pytest.approx(means[0] / means[1], rel=1e-12)
    bent = (above - ratio[0] * below) / means[1]
    found = two_level(bent, halves.people[counted], halves.seeds[counted])
    assert found.mean[0] == pytest.approx(0, abs=1e-12)
    assert (low[0], high[0]) == pytest.approx((ratio[0] + found.low[0], ratio[0] + found.high[0]))


def test_coverage_and_popularity_are_those_of_the_lists(pool):
    (sitting,) = pool.sittings
    train = sitting.task.train
    popular = np.asarray((train.user_items > 0).sum(axis=0)).ravel()
    percentile = [(np.mean(popular < one) + np.mean(popular <= one)) / 2 for one in popular]
    for arm in ARMS:
        (ranked,) = pool.lists(arm, 1, FIXED)
        listed = {column for columns in ranked.columns.tolist() for column in columns}
        assert pool.coverage(arm, 1, FIXED) == len(listed) / len(train.items)
        means = [np.mean([percentile[column] for column in columns]) for columns in ranked.columns]
        assert pool.popularity(arm, 1) == pytest.approx(np.mean(means), rel=1e-12)


def test_the_popularity_of_the_truth_is_that_of_each_person_averaged(pool):
    (sitting,) = pool.sittings
    popular = np.asarray((sitting.task.train.user_items > 0).sum(axis=0)).ravel()
    percentile = np.array([(np.mean(popular < n) + np.mean(popular <= n)) / 2 for n in popular])
    means = [percentile[row.indices].mean() for row in sitting.fixed_truth() if row.nnz]
    assert pool.truth_popularity() == pytest.approx(np.mean(means), rel=1e-12)


def test_the_table_has_a_line_for_everybody_who_counts_under_every_condition(pool):
    table = pool.table()
    expected = [
        (arm, shots, truth, int(pool.counted(shots, truth).sum()))
        for arm in ARMS
        for shots in pool.shots
        for truth in TRUTHS
    ]
    lines = list(zip(table["arm"], table["shots"], table["truth"], strict=True))
    assert len(lines) == sum(count for *_, count in expected)
    for arm, shots, truth, count in expected:
        at = [place for place, line in enumerate(lines) if line == (arm, shots, truth)]
        assert len(at) == count
        assert [table["person"][k] for k in at] == [
            str(one) for one in pool.sittings[0].ids[pool.counted(shots, truth)]
        ]
        for place, name in enumerate(METRICS):
            values = pool.of_counted(arm, shots, truth)[:, place]
            np.testing.assert_array_equal(table[name][at], values)
    assert list(table) == ["person", "seed", "level", "arm", "shots", "truth", *METRICS]
    assert set(table["seed"].tolist()) == {2}
    assert np.isnan(table["level"]).all()
