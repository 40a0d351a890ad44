"""The verdict and the figures that decide, in whatever way the evaluation ended."""

import pytest

from coldstart.report.headline import headline
from coldstart.report.run import Run


def figures(results):
    return {figure.label: (figure.value, figure.note) for figure in headline(Run(results)).figures}


def test_the_sentence_is_parted_at_its_first_clause(results):
    told = headline(Run(results))
    assert told.first == "Someone with no history in Kitchen gets 1.6x better recommendations;"
    assert told.rest == "it equals 7.8 interactions; it helps until about 5; no group loses."
    assert told.answer == "Gain"


def test_the_four_figures_say_what_they_rest_on(results):
    assert figures(results) == {
        "as good, with no interactions": (
            "1.60×",
            "1.53× to 1.67×; NDCG@10 5.0% against 3.1% of mean-prior",
        ),
        "interactions saved": (
            "7.8",
            "6.9 to 8.8; so many mean-prior needs to equal warm:ridge without any",
        ),
        "interactions until which it helps": ("5", "from 10 on no gain is shown"),
        "of people gain / lose": ("31% / 12%", "57% are unchanged, with no interactions"),
    }


def test_what_lies_beyond_the_largest_number_of_shots_is_said_to(results):
    results["findings"]["saved"] = {"interactions": None, "more_than": 10, "by": "mean-prior"}
    results["findings"]["graduation"] = {"shots": None, "helps_until": None, "more_than": 10}
    found = figures(results)
    assert found["interactions saved"][0] == "> 10"
    assert found["interactions until which it helps"][0] == "> 10"


def test_a_gain_without_interactions_alone_is_told(results):
    results["findings"]["graduation"] = {"shots": 1, "helps_until": 0, "more_than": None}
    found = figures(results)
    assert found["interactions, there it helps"] == ("only 0", "from 1 on no gain is shown")


def test_the_text_below_says_what_was_done(results, launch):
    assert headline(Run(results)).lede == (
        "1,200 people lost all their interactions in Kitchen before anything was fitted, and were "
        "served from what is known of them in Food. Lists of 10 are scored by NDCG@10, in percent. "
        "Shown is warm:ridge, against the strongest way without a source (mean-prior): picked by "
        "these people themselves, to its favour. Intervals are 95%."
    )
    told = headline(Run(launch)).lede
    assert told.startswith("1,200 people were served in Kitchen when a share of its log was there.")
    assert "Shown is warm:ridge, with 5% of the target log, against" in told


def test_where_nothing_helps_it_says_so(results):
    results["findings"] |= {"answer": "no gain", "sentence": "Nobody gains"}
    results["findings"]["saved"] = {"interactions": None, "more_than": None, "by": "mean-prior"}
    results["findings"]["graduation"] = {"shots": 0, "helps_until": None, "more_than": None}
    found = figures(results)
    assert found["it helps"] == ("nowhere", "no gain is shown at any number of interactions")
    assert found["interactions saved"][0] == "–"
    assert headline(Run(results)).answer == "No gain"
    assert headline(Run(results)).first == "Nobody gains"


def test_a_baseline_of_nothing_gives_points_and_no_ratio(results):
    results["findings"]["gains"][0]["ratio"] = None
    assert figures(results)["points better, with no interactions"] == (
        "+1.9",
        "+1.6 to +2.1; NDCG@10 5.0% against 3.1% of mean-prior",
    )


@pytest.mark.parametrize(
    ("arms", "uses", "sentence"),
    [
        (["cold"], {"cold": False}, "no arm that learns from the source was run"),
        (["auto"], {"auto": True}, "every arm that was run learns from the source"),
        (["cold", "auto"], {"cold": False, "auto": True}, "these results hold no findings"),
    ],
)
def test_without_findings_it_says_why(results, arms, uses, sentence):
    results["findings"] = None
    results["config"] |= {"arms": arms, "uses_source": uses}
    told = headline(Run(results))
    assert told.first == f"No verdict: {sentence}"
    assert told.figures == ()
