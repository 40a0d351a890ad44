"""Charts inside a page: variables for colours, text as text, ids that do not meet."""

import re
from xml.etree import ElementTree

import pytest

from coldstart.report.curves import Curve, curves
from coldstart.report.dots import Dot, dots

NAN = float("nan")


@pytest.fixture(scope="module")
def chart():
    lines = [
        Curve("warm <b>", "headline", 0, [0, 1, 5], [0.5, 0.6, 0.7], [0.4] * 3, [0.8] * 3),
        Curve("mean & co", "baseline", 0, [0, 1, 5], [0.2, 0.3, NAN], [0.1] * 3, [0.4] * 3),
        Curve("other", "other", 0, [0, 1, 5], [0.2, 0.3, 0.7], [NAN] * 3, [NAN] * 3),
    ]
    ticks = [(0, "0"), (1, "1"), (5, "5")]
    return curves("first", 'says "a" < b', lines, x_title="shots", ticks=ticks)


@pytest.fixture(scope="module")
def pictures(chart):
    return [ElementTree.fromstring(part) for part in re.findall(r"<svg.*?</svg>", chart, re.S)]


def test_both_sizes_are_drawn_and_described(pictures):
    assert [one.get("class") for one in pictures] == ["chart wide", "chart narrow"]
    assert [one.get("viewBox").split()[2] for one in pictures] == ["848", "350"]
    assert {one.get("aria-label") for one in pictures} == {'says "a" < b'}
    assert {one.get("role") for one in pictures} == {"img"}


def test_colours_and_fonts_are_those_of_the_page(chart):
    assert "var(--accent)" in chart
    assert "var(--series-1)" in chart
    assert not re.search(r"#[0-9a-f]{6}\b", chart)
    assert "font-family" not in chart
    assert "DejaVu" not in chart


def test_text_is_text(pictures):
    for picture in pictures:
        texts = [element.text for element in picture.iter("text")]
        assert {"warm <b>", "mean & co", "other", "shots", "0", "1", "5"} <= set(texts)


def test_nothing_but_shapes_and_text_is_left(pictures):
    tags = {element.tag for picture in pictures for element in picture.iter()}
    assert tags <= {"svg", "g", "path", "use", "defs", "text", "clipPath", "rect"}


def test_ids_are_those_of_the_chart_and_references_lead_to_them(pictures, chart):
    ids = [e.get("id") for picture in pictures for e in picture.iter() if e.get("id")]
    assert len(ids) == len(set(ids)) > 0
    assert all(name.startswith(("first-wide-", "first-narrow-")) for name in ids)
    used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', chart)
    assert {one or other for one, other in used} <= set(ids)


def test_a_small_chart_is_drawn_once():
    rows = [Dot("one", "5%", 0.05, 0.04, 0.06), Dot("two", "–", NAN)]
    half = dots("second", "both", rows, half=True)
    assert half.count("<svg") == 1
    assert 'class="chart half"' in half
    assert "second-narrow-" in half
