"""Colours of both schemes: text and lines stand out, and everything has its colour from them."""

import re
from importlib.resources import files

import pytest

from coldstart.report.svg import COLOURS

STYLE = files("coldstart.report").joinpath("style.css").read_text(encoding="utf-8")
BLOCKS = re.findall(r":root \{(.*?)\}", STYLE, re.S)
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in BLOCKS)
ON_PAPER = [name for name in COLOURS if name not in ("paper", "line", "soft")]
PAIRS = [*((name, "paper") for name in ON_PAPER), ("ink", "soft"), ("paper", "warn")]


def luminance(colour):
    """Of WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out(scheme, text, ground):
    assert contrast(scheme[text], scheme[ground]) >= 4.5


def test_both_schemes_have_every_colour_of_the_charts():
    assert set(LIGHT) == set(DARK) == set(COLOURS)


def test_no_rule_has_a_colour_of_its_own():
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.S)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsl", rules)


def test_dark_is_for_screens_and_paper_is_white():
    assert "@media screen and (prefers-color-scheme: dark)" in STYLE
    assert LIGHT["paper"] == "#ffffff"
