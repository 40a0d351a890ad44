"""Protocols by name, one value for each level."""

import pytest

from coldstart.protocols import LEVELS, PROTOCOLS, Cold, FewAnchors, Launch, Temporal, series


def test_a_name_stands_for_the_values_of_its_usual_levels():
    assert series("cold") == [Cold()]
    assert series("launch") == [Launch(share) for share in (0.05, 0.1, 0.3, 1.0)]
    assert series("anchors") == [FewAnchors(anchors=n) for n in (10, 30, 100, None)]
    assert all(len(series(name)) == 1 for name in PROTOCOLS if name not in LEVELS)


def test_levels_may_be_others():
    assert series("launch", [0.2]) == [Launch(0.2)]
    assert series("anchors", [5.0, 7]) == [FewAnchors(anchors=5), FewAnchors(anchors=7)]


def test_settings_go_to_the_protocols_that_have_them():
    settings = {"test_share": 0.3, "validation_share": 0.1, "order": "random"}
    assert series("cold", **settings) == [Cold(**settings)]
    assert series("temporal", **settings) == [Temporal(validation_share=0.1)]
    assert series("launch", [1.0], **settings) == [Launch(1.0, order="random")]


def test_unknown_names_and_levels_of_what_has_none_are_refused():
    known = "cold, mixed, launch, temporal, anchors, sampled"
    with pytest.raises(ValueError, match=f"unknown protocol 'hot': known are {known}"):
        series("hot")
    with pytest.raises(ValueError, match=r"protocol cold has no levels, got \[0.5\]: leave them"):
        series("cold", [0.5])
