"""The verdict in a sentence, for every answer."""

import math
from dataclasses import replace

import pytest

from coldstart.findings import Findings, Gain, Graduation, Saved
from coldstart.sentence import mixed_sentence, sentence

GAIN = Gain(
    shots=0,
    baseline="popularity",
    difference=0.0123,
    ci_low=0.0042,
    ci_high=0.02,
    ratio=1.62,
    ratio_low=1.2,
    ratio_high=1.8,
    effect=0.4,
    p=0.001,
    gain=0.5,
    lose=0.2,
    unchanged=0.3,
)


@pytest.fixture
def found():
    return Findings(
        sentence="",
        answer="gain",
        protocol="cold",
        level=None,
        arm="auto",
        metric="ndcg",
        n=10,
        shots=(0, 1, 10),
        reserved=10,
        users=300,
        left_out=0,
        curve=[],
        gains=[GAIN, replace(GAIN, shots=1), replace(GAIN, shots=10)],
        fair=GAIN,
        saved=Saved(4.8, 3.0, 7.0, None, "mean-prior"),
        graduation=Graduation(None, 10, 10),
        groups=[],
        lists=[],
        levels=[],
        without_twins=None,
        smallest_detectable={"shots": 0, "difference": 0.004, "ratio": 1.15},
    )


def told(found, side="users", **changes):
    return sentence(replace(found, **changes), "Kitchen", side)


def test_a_gain_says_how_much_what_it_saves_how_long_it_helps_and_who_loses(found):
    graduation = Graduation(20, 10, None)
    assert told(found, graduation=graduation) == (
        "Someone with no history in Kitchen gets 1.6x better recommendations; "
        "it equals 5 interactions; it helps until about 10; no group loses."
    )


def test_it_may_be_an_item_and_with_some_history(found):
    said = told(found, "items")
    assert said.startswith("An item with no history in Kitchen gets 1.6x better recommendations")
    for shots, history in ((1, "1 interaction"), (4, "4 interactions")):
        some = told(found, gains=[replace(GAIN, shots=shots)])
        assert some.startswith(f"Someone with {history} in Kitchen gets")


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(1.62, "1.6x better"), (1.1, "1.1x better"), (1.04, "4% better"), (math.nan, "better")],
)
def test_small_gains_are_told_in_percent(found, ratio, said):
    assert f" gets {said} recommendations; " in told(found, gains=[replace(GAIN, ratio=ratio)])


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (Saved(4.4, 3.0, 7.0, None, "cold"), "it equals 4 interactions"),
        (Saved(0.7, 0.0, 2.0, None, "cold"), "it equals 1 interaction;"),
        (Saved(0.4, 0.0, 2.0, None, "cold"), "it saves less than one interaction"),
        (Saved(None, 3.0, None, 10, "cold"), "it equals more than 10 interactions"),
    ],
)
def test_interactions_are_told_as_whole_numbers(found, saved, said):
    assert said in told(found, saved=saved)


@pytest.mark.parametrize(
    ("graduation", "said"),
    [
        (Graduation(None, 10, 10), "it still helps at 10;"),
        (Graduation(10, 5, None), "it helps until about 5;"),
        (Graduation(1, 0, None), "it helps until the first interaction;"),
        (Graduation(2, 0, None), "it helps until the first 2 interactions;"),
        (Graduation(0, None, None), "it is not certain to help;"),
    ],
)
def test_how_long_it_helps_is_what_was_tested(found, graduation, said):
    assert said in told(found, graduation=graduation)


def group(name, difference, p):
    return {"group": name, "difference": difference, "p": p}


def test_groups_that_lose_are_named_by_p_values_corrected_over_all_groups(found):
    certain = [group("least active", -0.01, 0.001), group("most active", 0.01, 0.001)]
    assert told(found, groups=certain).endswith("worse off: least active.")
    chance = [group("least active", -0.01, 0.03), group("most active", 0.01, 0.2)]
    assert told(found, groups=chance).endswith("; no group loses.")
    nobody = [group("least active", -0.01, math.nan), group("most active", 0.01, 0.2)]
    assert told(found, groups=nobody).endswith("; no group loses.")


def test_a_loss_says_how_much_and_to_leave_it_out(found):
    loss = replace(GAIN, difference=-0.0123, ci_low=-0.02, ci_high=-0.0042)
    assert told(found, answer="loss", fair=loss) == (
        "Someone with no history in Kitchen gets worse recommendations with the source: "
        "ndcg@10 changes by -1.23 points [-2.00, -0.42] against popularity; leave it out."
    )


def test_no_gain_says_between_which_limits_it_is(found):
    none = replace(GAIN, difference=0.0001, ci_low=-0.002, ci_high=0.0021)
    assert told(found, answer="no gain", fair=none) == (
        "Someone with no history in Kitchen gains nothing from the source: "
        "ndcg@10 changes by +0.01 points [-0.20, +0.21] against popularity; serve without it."
    )


def test_an_open_question_says_what_could_have_been_seen(found):
    said = told(found, answer="undecided")
    assert said == (
        "Whether someone with no history in Kitchen gains is not decided by 300 people: "
        "ndcg@10 changes by +1.23 points [+0.42, +2.00] against popularity; a gain below 15% could "
        "not be seen."
    )
    unknown = {"shots": 0, "difference": 0.004, "ratio": math.nan}
    said = told(found, answer="undecided", smallest_detectable=unknown)
    assert said.endswith("[+0.42, +2.00] against popularity.")


def test_at_one_moment_everybody_is_served_with_the_history_of_then(found):
    assert told(found, protocol="temporal").startswith(
        "Someone served from one moment on in Kitchen gets 1.6x better"
    )


def test_a_launch_tells_the_gain_at_every_share_of_the_log(found):
    levels = [
        {"level": 0.05, "ratio": 1.5, "p": 0.001},
        {"level": 0.3, "ratio": 1.08, "p": 0.04},
        {"level": 1.0, "ratio": math.nan, "p": 0.01},
    ]
    assert told(found, protocol="launch", levels=levels) == (
        "Recommendations in Kitchen with the source, compared with the best without it, by the "
        "share of the log that is there: 5%: 1.50x as good; 30%: 1.08x as good; "
        "100%: not to be told."
    )
    levels[1]["p"] = 0.2
    assert "30%: 1.08x as good, which is not certain;" in told(
        found, protocol="launch", levels=levels
    )


def test_few_anchors_tell_the_gain_at_every_number_of_them(found):
    levels = [{"level": 10.0, "ratio": 0.9, "p": 0.6}, {"level": 846.0, "ratio": 1.5, "p": 0.001}]
    assert told(found, protocol="anchors", levels=levels) == (
        "Recommendations in Kitchen with the source, compared with the best without it, by the "
        "number of people known to be in both catalogs: 10: 0.90x as good, which is not certain; "
        "846: 1.50x as good."
    )


def test_sampled_negatives_give_no_verdict(found):
    assert told(found, protocol="sampled") == (
        "No verdict: sampled negatives are biased. ndcg@10 of auto on them is only to be set "
        "beside published tables."
    )


def test_one_number_of_shots_says_nothing_of_how_many_are_saved_or_until_when_it_helps(found):
    said = told(found, shots=(0,))
    assert "equals" not in said
    assert "helps" not in said


def test_mixed_lists_say_what_new_rows_get_and_what_known_ones_lose():
    row = {"arm": "auto", "new_share": 0.047, "recall_new": 0.31}
    row |= {"recall_known": 0.4, "loss_known": 0.007}
    assert mixed_sentence({"rows": [{**row, "arm": "other"}, row]}, "auto", "items") == (
        " In lists of both, new items take 4.7% of the places, and 31% of what was to be found "
        "among them is found; among the known it is 40%, which is 0.7 points less than without "
        "the new."
    )
