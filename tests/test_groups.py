"""Groups: thirds of the people, thirds of what is to be found, and what each is worth."""

import numpy as np
import pytest

from coldstart.groups import groups_of
from coldstart.metrics import METRICS, ndcg
from coldstart.sitting import FIXED

NDCG = list(METRICS).index("ndcg")
ARM, BASELINE = "warm:known", "strong"


@pytest.fixture(scope="module")
def pool(served):
    return served.pool


@pytest.fixture(scope="module")
def rows(pool):
    return groups_of(pool, ARM, 0, BASELINE)


def of(rows, by):
    return [row for row in rows if row["by"] == by]


def test_there_are_thirds_by_activity_and_by_item_popularity(rows):
    assert [row["group"].split(" (")[0] for row in rows] == [
        "least active",
        "medium active",
        "most active",
        "least popular",
        "medium popular",
        "most popular",
    ]
    assert {row["shots"] for row in rows} == {0}


def test_everybody_who_counts_is_in_one_group_by_activity(pool, rows):
    """Weighted by their people, groups add up to what all of them gain."""
    counted = pool.counted(0, FIXED)
    thirds = of(rows, "activity")
    assert sum(row["users"] for row in thirds) == counted.sum()
    for field, arm in (("mean", ARM), ("baseline", BASELINE)):
        whole = pool.values(arm, 0, FIXED)[counted, NDCG].mean()
        parts = sum(row[field] * row["users"] for row in thirds) / counted.sum()
        assert parts == pytest.approx(whole, rel=1e-12)


def test_more_active_groups_have_more_interactions_in_the_source(pool, rows):
    (sitting,) = pool.sittings
    sizes = np.diff(sitting.split.source.user_items.indptr)[sitting.split.test.source]
    counted = pool.counted(0, FIXED)
    gain = pool.values(ARM, 0, FIXED)[:, NDCG] - pool.values(BASELINE, 0, FIXED)[:, NDCG]
    before = 0
    for row in of(rows, "activity"):
        low, high = (int(n) for n in row["group"].split("(")[1].split(" in")[0].split(" to "))
        assert before < low <= high
        who = counted & (sizes >= low) & (sizes <= high)
        assert row["users"] == who.sum() > 0.2 * counted.sum()
        assert row["difference"] == pytest.approx(gain[who].mean(), rel=1e-12)
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
        before = high


def test_columns_are_in_groups_with_a_third_of_the_interactions_each(pool, rows):
    """By hand: columns by rising popularity, and where the sum before each one falls."""
    (sitting,) = pool.sittings
    train, truth = sitting.task.train.user_items, sitting.fixed_truth().toarray() > 0
    popular = np.bincount(train.indices, minlength=train.shape[1])
    groups, before = np.zeros(len(popular), int), 0
    for column in np.argsort(popular, kind="stable"):
        groups[column] = min(2, int(3 * before / popular.sum()))
        before += popular[column]
    for number, row in enumerate(of(rows, "item popularity")):
        inside = groups == number
        assert popular[inside].sum() == pytest.approx(popular.sum() / 3, abs=int(popular.max()))
        right = truth & inside
        who = right.any(axis=1)
        assert row["users"] == who.sum()
        for field, arm in (("mean", ARM), ("baseline", BASELINE)):
            (ranked,) = pool.lists(arm, 0, FIXED)
            hits = np.take_along_axis(right, ranked.columns, axis=1)
            assert row[field] == pytest.approx(np.nanmean(ndcg(hits, right.sum(axis=1))), rel=1e-12)
    rising = [popular[groups == number].mean() for number in range(3)]
    assert rising == sorted(rising)


def test_an_arm_against_itself_neither_gains_nor_loses_anywhere(pool):
    for row in groups_of(pool, BASELINE, 0, BASELINE):
        assert (row["difference"], row["ci_low"], row["ci_high"]) == (0.0, 0.0, 0.0)
        assert row["p"] == 1.0


def test_at_other_shots_the_same_people_are_in_the_same_groups(pool, rows):
    later = groups_of(pool, ARM, 3, BASELINE)
    assert [row["users"] for row in later] == [row["users"] for row in rows]
    assert [row["group"] for row in later] == [row["group"] for row in rows]
    assert {row["shots"] for row in later} == {3}
