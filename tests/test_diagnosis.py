"""A related pair is told from an unrelated one and from shuffled anchors, by held-out people."""

import json

import numpy as np
import pytest

from coldstart import Interactions, diagnose
from coldstart.datasets import make_cross_domain
from coldstart.errors import AnchorError, DataError


def catalogs(**settings):
    return make_cross_domain(1000, 300, 250, rng=1, **settings)


def with_users(log, users):
    return Interactions.from_csr(log.user_items, users=users, items=log.items.ids)


def examined(source, target, **settings):
    return diagnose(source, target, **{"factors": 12, "num_threads": 1, **settings})


@pytest.fixture(scope="module")
def related():
    return examined(*catalogs(twins=20))


@pytest.fixture(scope="module")
def unrelated():
    return examined(*catalogs(unrelated=True))


@pytest.fixture(scope="module")
def shuffled():
    source, target = catalogs()
    users = np.random.default_rng(0).permutation(target.users.ids)
    return examined(source, with_users(target, users))


@pytest.fixture(params=["unrelated", "shuffled"])
def nothing(request):
    """A pair between which nothing can be transferred."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def alone():
    """Everybody is in both catalogs, and few."""
    source, target = make_cross_domain(40, 50, 40, overlap=1.0, source_interactions=8, rng=2)
    return examined(source, target, factors=4)


class TestRelated:
    def test_crossing_is_likely_to_pay(self, related):
        assert related.verdict.answer == "likely"
        assert related.verdict.gains[0].low > 0

    def test_every_hint_is_there(self, related):
        assert related.cka.p == related.canonical.p == 0.005
        assert related.cka.cka > 0.05
        assert related.canonical.above >= 5
        assert related.evidence.per_anchor > 0.1

    def test_anchors_and_their_shares_are_counted(self, related):
        source, target = catalogs(twins=20)
        both = set(source.users) & set(target.users)
        assert related.anchors == related.source.anchors == len(both)
        assert related.target.row_share == len(both) / len(target.users)

    def test_twins_are_counted(self, related):
        planted = dict(catalogs(twins=20).twins)
        assert 15 <= related.twins.pairs <= 21
        assert all(planted[one] == other for one, other, *_ in related.twins.examples)
        assert 0 < related.twins.share < 0.5


class TestNothing:
    def test_crossing_is_not_said_to_pay(self, nothing):
        assert nothing.verdict.answer == "unlikely"

    def test_anchors_drawn_at_random_cannot_be_told_from_the_others(self, nothing):
        for shift in (nothing.source_shift, nothing.target_shift):
            assert shift.low < 0.5 < shift.high
        for popularity in (nothing.source_popularity, nothing.target_popularity):
            assert popularity.rho == pytest.approx(popularity.random, abs=0.15)

    def test_no_hint_is_there(self, nothing):
        assert min(nothing.cka.p, nothing.canonical.p) > 0.01
        assert abs(nothing.cka.cka) < 0.02
        assert nothing.canonical.above <= 1
        assert nothing.evidence.per_anchor < 0.01


class TestFewPeople:
    def test_too_few_to_tell_is_the_verdict(self, alone):
        assert alone.verdict.answer == "undecided"
        assert str(alone).startswith("Crossing is undecided: too few people to tell, ")

    def test_where_everybody_is_an_anchor_there_is_nobody_to_compare_with(self, alone):
        assert alone.source_shift is alone.target_shift is None
        assert alone.source_popularity is alone.target_popularity is None
        assert str(alone).count(": all users are anchors.") == 4

    def test_a_handful_of_anchors_is_described_without_what_needs_more(self):
        source, target = make_cross_domain(60, 40, 30, overlap=0.1, source_interactions=8, rng=3)
        found = examined(source, target, factors=4)
        assert (found.verdict.answer, found.verdict.gains) == ("undecided", ())
        assert found.cka is found.canonical is None
        assert "6 users are in both catalogs" in str(found)
        assert str(found).count("too few") >= 5


class TestChecks:
    def test_everything_but_the_times_that_are_not_there_is_looked_at(self, related):
        names = [check.check for check in related.checks]
        assert names == ["size", "overlap", "twins", "ids", "repeated pairs"]

    def test_warnings_and_notes_are_in_the_text(self, related):
        (twins,) = related.warnings
        assert twins.startswith("Cross-listed twins: ")
        assert str(related).endswith(f"Warning: {twins}")
        assert related.to_json()["warnings"] == [twins]
        assert related.to_json()["checks"][0]["check"] == "size"

    def test_the_size_is_that_of_the_first_gain(self, related):
        size, gain = related.checks[0], related.verdict.gains[0]
        assert size.level == "ok"
        assert size.numbers["people"] == gain.people
        assert size.numbers["smallest_detectable"] == gain.detectable
        half = (size.numbers["ci_high"] - size.numbers["ci_low"]) / 2
        assert half == pytest.approx(1.96 * gain.standard_error, rel=1e-9)

    def test_that_nobody_was_held_out_is_a_warning(self):
        source, target = make_cross_domain(60, 40, 30, overlap=0.1, source_interactions=8, rng=3)
        found = examined(source, target, factors=4)
        assert found.checks[0].text == "Nobody was held out, so no gain was tested."
        assert "Note: Cross-listed twins: none among the 0 of 40 items" in str(found)

    def test_times_of_anchors_are_compared(self):
        source, target = make_cross_domain(60, 40, 30, overlap=0.1, source_interactions=8, rng=3)
        anchors = set(source.users) & set(target.users)
        rows = np.repeat(target.users.ids, np.diff(target.user_items.indptr))
        # only strangers come before the source
        times = np.where([user in anchors for user in rows], 500, 100)
        after = Interactions.from_csr(target.user_items, target.users, timestamps=times)
        before = Interactions.from_csr(
            source.user_items, source.users, timestamps=np.full(source.nnz, 300)
        )
        (time,) = (c for c in examined(before, after, factors=4).checks if c.check == "time")
        assert (time.level, time.numbers["later_share"]) == ("ok", 0.0)


class TestItems:
    def test_items_are_the_rows_and_people_the_twins(self):
        source, target = make_cross_domain(200, 60, 50, twins=10, source_interactions=8, rng=1)
        found = examined(source.T, target.T, side="items", factors=4)
        same = examined(source, target, factors=4)
        assert found.twins.pairs > 5
        assert found.twins == same.twins
        assert (found.anchors, found.verdict) == (same.anchors, same.verdict)
        assert f"{found.anchors} items are in both catalogs" in str(found)
        assert "Users of both catalogs:" in str(found)


class TestWords:
    def test_the_text_has_the_numbers(self, related):
        text = str(related)
        assert text.startswith("Crossing is likely to pay: held-out people with ")
        first = related.verdict.gains[0]
        assert (
            f"ndcg@10 at 0 shots: {first.mean:+.4f} [{first.low:+.4f}, {first.high:+.4f}]" in text
        )
        assert f"Anchors: {related.anchors} users are in both catalogs." in text
        assert f"AUC {related.source_shift.auc:.2f}" in text
        assert f"CKA {related.cka.cka:.2f}" in text
        assert f"{related.twins.pairs} cross-listed pairs" in text
        assert f"by {related.evidence.per_anchor:.3f} nats per anchor" in text

    def test_the_repr_is_one_line_with_the_verdict(self, related):
        shown = repr(related)
        assert shown.startswith("Diagnosis(likely, gains +0.0")
        assert f", {related.anchors} anchors, {related.twins.pairs} twins)" in shown
        assert "\n" not in shown

    def test_it_becomes_json_with_null_for_nan(self, related, alone):
        for found in (related, alone):
            values = json.loads(json.dumps(found.to_json(), allow_nan=False))
            assert values == found.to_json()
            assert (values["schema"], values["verdict"]["answer"]) == (1, found.verdict.answer)
            assert len(values["verdict"]["gains"]) == len(found.verdict.gains)
        assert alone.to_json()["source"]["rest_activity"] is None
        assert alone.to_json()["source_shift"] is None

    def test_popularity_of_common_ids_is_compared_where_there_are_any(self, related):
        assert related.common_popularity is None
        source, target = make_cross_domain(60, 50, 40, source_interactions=8, rng=2)
        items = [f"s{number}" for number in range(len(target.items))]
        same = Interactions.from_csr(target.user_items, users=target.users.ids, items=items)
        found = examined(source, same, factors=4)
        assert found.common_popularity.columns == 40
        assert "Popularity of those with the same id: rank correlation " in str(found)


def test_the_same_seed_gives_the_same_diagnosis_with_any_number_of_threads(alone):
    source, target = make_cross_domain(40, 50, 40, overlap=1.0, source_interactions=8, rng=2)
    again = examined(source, target, factors=4, num_threads=2)
    assert again.to_json() == alone.to_json()


class TestErrors:
    def test_catalogs_without_anchors_are_told_so(self):
        source, target = catalogs()
        strangers = [f"x{user}" for user in target.users]
        with pytest.raises(AnchorError, match="no users in common"):
            examined(source, with_users(target, strangers))

    def test_anchors_without_interactions_are_none(self):
        source = Interactions.from_csr(np.array([[1, 1], [0, 0], [1, 0]]), users=list("abc"))
        target = Interactions.from_csr(np.array([[0, 1], [1, 1]]), users=list("bd"))
        with pytest.raises(AnchorError, match="none of the 1 users in both catalogs has"):
            examined(source, target)

    def test_an_empty_catalog_is_told(self):
        with pytest.raises(DataError, match="target is empty: it has no interactions"):
            examined(catalogs().source, Interactions.from_csr(np.zeros((3, 4))))

    def test_what_is_no_log_is_told(self):
        with pytest.raises(TypeError, match="source must be Interactions, got ndarray"):
            examined(np.eye(3), catalogs().target)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"side": "both"}, 'side must be "users" or "items"'),
            ({"factors": 0}, "factors must be a whole number of at least 1"),
            ({"rng": -1}, "rng must be a whole number of at least 0"),
            ({"num_threads": 1.5}, "num_threads must be a whole number"),
        ],
    )
    def test_settings_out_of_range_are_told(self, settings, message):
        with pytest.raises(ValueError, match=message):
            examined(*catalogs(), **settings)
