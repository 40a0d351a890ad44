"""Each thing that makes a result look better than it is gets its sentence, and clean data none."""

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from coldstart import Interactions
from coldstart.anchors import find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.errors import DataError
from coldstart.hygiene import Check, checks, size_check, time_check
from coldstart.twins import Twins, find_twins


def catalogs(**settings):
    return make_cross_domain(500, 150, 120, rng=1, **settings)


def by_name(found):
    return {check.check: check for check in found}


def examined(source, target, side="users"):
    return by_name(checks(source, target, side=side))


def from_pairs(pairs, **settings):
    return Interactions.from_frame(pd.DataFrame(pairs, columns=["user", "item"]), **settings)


@pytest.fixture(scope="module")
def clean():
    return examined(*catalogs())


class TestClean:
    def test_everything_is_looked_at_and_nothing_is_told(self, clean):
        assert set(clean) == {"overlap", "twins", "ids", "repeated pairs"}
        assert {check.level for check in clean.values()} == {"ok"}

    def test_every_text_is_a_sentence_and_json_can_hold_it(self, clean):
        for check in clean.values():
            assert check.text[0] == check.text[0].upper()
            assert check.text.endswith(".")
            assert json.loads(json.dumps(check.to_json(), allow_nan=False)) == check.to_json()

    def test_how_many_are_in_both_is_counted(self, clean):
        source, target = catalogs()
        both = len(set(source.users) & set(target.users))
        shares = both / len(source.users), both / len(target.users)
        assert tuple(clean["overlap"].numbers.values()) == (both, *shares)
        assert clean["overlap"].text.startswith(f"{both} people are in both catalogs, 89% of ")

    def test_what_is_not_a_number_becomes_null(self):
        values = Check("size", "note", "A.", {"low": float("nan"), "people": 3}).to_json()
        assert values["numbers"] == {"low": None, "people": 3}


class TestTwins:
    def test_they_are_counted_with_their_share(self):
        source, target = catalogs(twins=15)
        found = examined(source, target)["twins"]
        assert found.level == "warning"
        assert 12 <= found.numbers["target_columns"] <= 15
        assert f"{found.numbers['target_columns']} items of the target" in found.text
        assert f"{100 * found.numbers['share']:.0f}% of the target interactions" in found.text

    def test_those_that_were_found_are_not_looked_for_again(self):
        source, target = catalogs()
        none = Twins.of(
            find_twins(source.user_items[:0], target.user_items[:0]),
            target.user_items,
            (source.items.ids, target.items.ids),
        )
        some = Twins(4, 2, 1, 0.0004, none.examples)
        found = by_name(checks(source, target, side="users", twins=some))["twins"]
        assert found.level == "note"
        assert "1 item of the target" in found.text
        assert "less than 0.1% of the target" in found.text

    def test_on_the_side_of_items_they_are_people(self):
        source, target = catalogs(twins=15)
        found = examined(source.T, target.T, side="items")["twins"]
        assert "people of the source with enough items to tell." in found.text

    def test_where_too_few_are_in_both_it_is_said_that_nothing_can_be_told(self):
        source, target = make_cross_domain(60, 40, 30, overlap=0.05, source_interactions=8, rng=0)
        found = examined(source, target)["twins"]
        assert (found.level, found.numbers["tellable"]) == ("note", 0)
        assert "none among the 0 of 40 items of the source with enough people" in found.text


class TestOverlap:
    def test_catalogs_of_those_active_in_both_only_are_told(self):
        found = examined(*catalogs(overlap=1.0))["overlap"]
        assert (found.level, found.numbers["source_share"]) == ("warning", 1.0)
        assert "only people that are active in both, and a real launch has others" in found.text

    def test_one_catalog_within_the_other_is_no_reason_to_warn(self):
        source, target = catalogs()
        both = find_anchors(source.users, target.users)
        found = examined(source, target.keep_users(both.target))["overlap"]
        assert (found.level, found.numbers["target_share"]) == ("ok", 1.0)

    def test_rows_without_interactions_do_not_count(self):
        source, target = catalogs(overlap=1.0)
        nobody = np.zeros((300, len(target.items)))
        stacked = np.vstack([target.user_items.toarray(), nobody])
        users = [*target.users, *(f"nobody{number}" for number in range(300))]
        found = examined(source, Interactions.from_csr(stacked, users=users))["overlap"]
        assert found.numbers["target_share"] == 1.0

    def test_nobody_in_both_is_told_without_an_error(self):
        source, target = catalogs()
        strangers = [f"x{user}" for user in target.users]
        found = examined(source, Interactions.from_csr(target.user_items, users=strangers))
        assert found["overlap"].level == "warning"
        assert found["overlap"].text.startswith("No people are in both catalogs")


class TestRepeatedPairs:
    def test_a_few_are_a_note_with_their_share(self):
        pairs = [(f"u{user}", f"i{item}") for user in range(20) for item in range(user % 5 + 1)]
        found = examined(from_pairs(pairs), from_pairs([*pairs, *pairs[:15]]))["repeated pairs"]
        assert found.level == "note"
        assert found.numbers["target"] == 15
        assert found.numbers["target_share"] == 15 / 75
        assert found.text.startswith("0% of the source's rows and 20% of the target's repeated ")

    def test_a_file_that_was_joined_to_itself_is_a_warning(self):
        pairs = [(f"u{user}", f"i{item}") for user in range(20) for item in range(user % 5 + 1)]
        found = examined(from_pairs(pairs * 2), from_pairs(pairs))["repeated pairs"]
        assert (found.level, found.numbers["source_share"]) == ("warning", 0.5)
        assert "joined to itself" in found.text


class TestIds:
    def test_each_reason_to_doubt_them_is_a_warning_of_its_own(self):
        users = [f"{user}" for user in range(1, 31)]
        source = Interactions.from_csr(np.eye(30), users=users)
        target = Interactions.from_csr(np.eye(40)[:30], users=[user.zfill(5) for user in users])
        (found,) = (c for c in checks(source, target, side="users") if c.check == "ids")
        assert found.level == "warning"
        assert found.text.startswith("30 more users would match if ids were compared without ")
        assert found.text.endswith(": clean them first.")

    def test_integers_and_strings_are_an_error_that_says_what_to_do(self):
        source = Interactions.from_csr(np.eye(3), users=[7, 8, 9])
        target = Interactions.from_csr(np.eye(4), users=["7", "8", "9", "10"])
        message = (
            r"user ids are integers \(for example 7\) in the source but strings "
            r"\(for example '7'\) in the target, so none match: convert one of them, "
            "for example with str"
        )
        with pytest.raises(DataError, match=message):
            checks(source, target, side="users")

    def test_items_may_have_numbers_in_one_catalog_and_names_in_the_other(self):
        source = Interactions.from_csr(np.eye(12), users=list("abcdefghijkl"))
        items = [f"item{number}" for number in range(12)]
        target = Interactions.from_csr(np.eye(12), users=list("abcdefghijkl"), items=items)
        assert examined(source, target)["ids"].level == "ok"


def dated(days, count=200):
    """A log with an interaction on each of the days since 2020."""
    matrix = np.zeros((count, 7))
    matrix[np.arange(count), np.arange(count) % 7] = 1
    return Interactions.from_csr(matrix, timestamps=days)


class TestTime:
    def test_a_source_that_ends_before_the_test_begins_is_fine(self):
        found = time_check(dated(np.arange(200)), np.arange(200, 260))
        assert (found.level, found.numbers["later_share"]) == ("ok", 0.0)

    def test_a_source_that_goes_on_is_a_warning_with_its_share(self):
        found = time_check(dated(np.arange(200)), np.arange(140, 241))
        # the test period begins at 141, and half of it is over at 190
        assert found.level == "warning"
        assert found.numbers == {"later_share": 58 / 200, "later_than_half_share": 9 / 200}
        assert found.text.startswith("29% of the source interactions are later than the beginning")
        assert "and 4.5% later than half" in found.text
        assert 'the protocol "temporal"' in found.text

    def test_the_same_day_is_not_later(self):
        assert time_check(dated(np.full(200, 9)), np.full(30, 9)).numbers["later_share"] == 0

    def test_a_stray_date_does_not_move_the_test_period(self):
        times = np.concatenate([[0], np.arange(200, 400)])
        assert time_check(dated(np.arange(200)), times).level == "ok"

    @pytest.mark.parametrize("swapped", [False, True])
    def test_seconds_against_dates_are_told_instead(self, swapped):
        first = date(2020, 1, 1)
        days = [(first + timedelta(days=day)).isoformat() for day in range(200)]
        pairs = [(f"u{day}", f"i{day % 7}", when) for day, when in enumerate(days)]
        frame = pd.DataFrame(pairs, columns=["user", "item", "time"])
        dates = Interactions.from_frame(frame, timestamp="time")
        seconds = dated(1_577_836_800 + 86_400 * np.arange(200))
        source, target = (dates, seconds) if swapped else (seconds, dates)
        found = time_check(source, target.timestamps)
        assert found.level == "note"
        assert "seem to be in different units" in found.text

    def test_years_apart_are_of_one_unit(self):
        year = 365 * 86_400
        found = time_check(dated(50 * year + np.arange(200)), 30 * year + np.arange(90))
        assert (found.level, found.numbers["later_share"]) == ("warning", 1.0)

    @pytest.mark.parametrize("times", [None, np.array([], np.int64)])
    def test_without_times_nothing_is_said(self, times):
        assert time_check(dated(np.arange(200)), times) is None
        assert time_check(catalogs().source, np.arange(9)) is None


class TestSize:
    def test_the_interval_and_the_smallest_gain_are_in_words(self):
        found = size_check(2540, "ndcg", 0.05, 0.01, 0.008, 0.012, 0.003)
        assert found.level == "ok"
        assert found.text == (
            "With 2,540 test people the 95% interval of the gain in ndcg is +-4.0% of what is "
            "reached without a source, and the smallest gain that would have been found in four of "
            "five such tests is 6.0%."
        )
        assert found.numbers["smallest_detectable"] == 0.003

    def test_few_people_are_a_warning_where_nothing_is_shown(self):
        found = size_check(254, "ndcg", 0.05, 0.004, -0.006, 0.014, 0.015)
        assert found.level == "warning"
        assert "+-20% of" in found.text
        assert found.text.endswith("is 30%: too few people to tell less from nothing.")

    @pytest.mark.parametrize("sign", [1, -1])
    def test_and_a_note_where_something_is(self, sign):
        low, high = sorted([sign * 0.02, sign * 0.04])
        assert size_check(254, "ndcg", 0.05, sign * 0.03, low, high, 0.015).level == "note"

    def test_without_a_baseline_above_0_gains_are_as_they_are(self):
        found = size_check(50, "ndcg", 0.0, 0.02, 0.01, 0.03, 0.014)
        assert "+-0.0100, and" in found.text
        assert "is 0.0140:" in found.text

    @pytest.mark.parametrize(
        ("people", "limit", "who"), [(1, 0.1, "1 person"), (400, float("nan"), "400 people")]
    )
    def test_where_there_is_no_interval_nothing_can_be_told(self, people, limit, who):
        found = size_check(people, "ndcg", 0.05, 0.01, -limit, limit, 0.02)
        assert found.level == "warning"
        assert found.text == f"With {who} tested nothing can be told: test more."
        assert json.dumps(found.to_json(), allow_nan=False)
