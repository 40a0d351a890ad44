"""What stands on the page: sections with data, headings in order, tables and charts for all."""

import re
from itertools import pairwise

import pytest
from markupsafe import Markup

from coldstart.report import render

SECTIONS = {
    "quality": "How good the lists are",
    "fates": "Who gains, and who loses",
    "lists": "What is listed",
    "twins": "With and without twins",
    "gate": "What the gate decided",
    "examples": "A few people",
    "hygiene": "Data hygiene",
    "all": "Every arm, every metric",
    "tuning": "How arms were tuned",
    "settings": "Settings and versions",
    "reproduction": "How to run it again",
}
ALWAYS = {"quality", "hygiene", "settings", "reproduction"}


@pytest.fixture
def undrawn(monkeypatch):
    """Charts take most of the time, and say nothing of what stands around them."""
    for module in ("curves", "dots"):
        monkeypatch.setattr(f"coldstart.report.{module}.drawn", lambda *_, **__: Markup("<svg/>"))


@pytest.fixture
def found(page, parsed):
    return parsed(page)


def sections(found):
    return [attributes["id"] for _, attributes, _ in found.all("section")]


def test_the_first_heading_is_the_verdict(found, complete):
    assert found.texts("h1") == [complete["findings"]["sentence"]]
    assert found.texts("title")[0].startswith("Food → Kitchen: Someone with no history in Kitchen")


def test_every_section_has_its_heading(found):
    assert sections(found) == list(SECTIONS)
    assert found.texts("h2") == list(SECTIONS.values())


def test_headings_leave_no_level_out(found):
    levels = [int(tag[1]) for tag, _, _ in found.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_page_says_its_language_and_the_sections_it_has(found):
    assert found.all("html")[0][1]["lang"] == "en"
    linked = {attributes["href"][1:] for _, attributes, _ in found.all("a")}
    assert linked <= set(sections(found))
    assert linked >= set(sections(found)) - {"all"}


def test_ids_are_unique_and_references_lead_somewhere(found, page):
    ids = [attributes["id"] for _, attributes, _ in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {a["href"][1:] for _, a, _ in found.elements if "href" in a}
    used |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(ids)


def test_every_chart_says_its_numbers_in_words(found):
    charts = found.all("svg")
    assert len(charts) >= 10
    for _, attributes, _ in charts:
        assert attributes["role"] == "img"
        assert len(re.findall(r"\d", attributes["aria-label"])) >= 3, attributes["aria-label"]
        assert not re.search(r"\bnan\b|None|\{", attributes["aria-label"])
    told = next(a["aria-label"] for _, a, _ in charts if "by number of" in a["aria-label"])
    assert "warm:ridge 5.0% (4.7 to 5.3) at 0, 5.1%" in told


def test_every_chart_stands_in_a_figure_with_a_title(found):
    assert len(found.all("figure")) == len(
        [1 for _, a, _ in found.all("svg") if not a["class"].endswith("narrow")]
    )
    assert all(text for _, a, text in found.all("p") if a.get("class") == "title")


def test_every_table_has_a_caption_and_headers_with_a_scope(found):
    tables = found.all("table")
    assert len(tables) == len(found.all("caption")) >= 8
    assert all(found.texts("caption"))
    assert {a["scope"] for _, a, _ in found.all("th")} == {"col", "row"}
    assert all(text for _, a, text in found.all("th"))


def test_numbers_are_written_for_people(found):
    text = " ".join(found.texts("main", "header"))
    assert not re.search(r"\b(nan|None|inf|undefined)\b", text)
    cells = found.texts("td")
    assert "5.0%4.7 to 5.3" in cells
    assert "+1.9+1.6 to +2.1" in cells
    assert "1.60×1.53× to 1.67×" in cells


def test_hits_are_marked_by_more_than_a_colour(found):
    hits = [text for _, a, text in found.all("li") if a.get("class") == "hit"]
    others = [text for _, a, text in found.all("li") if "class" not in a]
    assert len(hits) == 4
    assert all("✓" in text for text in hits)
    assert not any("✓" in text for text in others)
    ticks = [a for _, a, _ in found.all("span") if a.get("class") == "tick"]
    assert all(tick["aria-label"] == "truly taken" for tick in ticks)


def test_hygiene_begins_with_warnings_and_says_levels_in_words(found):
    said = [text for _, _, text in found.all("strong") if re.match("Warning|Note|Fine", text)]
    assert said[0] == "Warning: ids."
    assert [text.split(":")[0] for text in said] == ["Warning", "Note", "Note", *3 * ["Fine"]]


def test_the_command_and_the_hash_of_the_split_are_there(found, complete):
    assert found.texts("code")[0] == complete["config"]["command"]
    assert complete["config"]["split"]["sha256"] in found.texts("code")


@pytest.mark.usefixtures("undrawn")
def test_sampled_figures_are_marked_wherever_they_stand(results, page, parsed):
    mark = "biased: sampled negatives, only to set a number beside published tables"
    results["config"]["protocol"] = "sampled"
    found = parsed(render(results))
    measured = [text for text in found.texts("caption") if re.search("NDCG|Coverage|Mean", text)]
    assert len(measured) >= 8
    assert all(mark in text for text in measured)
    titles = [text for _, a, text in found.all("p") if a.get("class") == "title"]
    assert titles
    assert all(mark in text for text in titles)
    assert mark[1:] in found.texts("header")[0]
    assert mark not in page


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("lacking", "gone"),
    [
        (("findings",), {"fates", "lists", "twins"}),
        (("findings", "gains"), {"twins"}),
        (("findings", "groups"), set()),
        (("findings", "lists"), {"lists"}),
        (("findings", "without_twins"), {"twins"}),
        (("findings", "curve"), set()),
        (("findings", "saved"), set()),
        (("findings", "graduation"), set()),
        (("findings", "smallest_detectable"), set()),
        (("findings", "baseline"), set()),
        (("gate",), {"gate"}),
        (("examples",), {"examples"}),
        (("hygiene",), set()),
        (("trials",), set()),
        (("timings",), set()),
        (("rows",), set()),
        (("comparisons",), set()),
        (("config",), set()),
        (("config", "files"), set()),
        (("config", "command"), set()),
        (("config", "uses_source"), set()),
        (("config", "names"), set()),
    ],
)
def test_a_section_without_data_is_left_out_or_says_so(results, parsed, lacking, gone):
    *outer, last = lacking
    holder = results[outer[0]] if outer else results
    holder[last] = None
    with_null = sections(parsed(render(results)))
    del holder[last]
    assert sections(parsed(render(results))) == with_null
    assert set(SECTIONS) - set(with_null) == gone


def test_results_of_the_first_version_are_a_page_that_says_what_it_lacks(minimal, parsed):
    found = parsed(render(minimal))
    assert set(sections(found)) == {*ALWAYS, "all"}
    assert found.texts("h1") == ["No verdict: no arm that learns from the source was run"]
    text = " ".join(found.texts("main"))
    assert "Findings on one fixed truth are not in these results" in text
    assert "hold no checks of the data" in text
    assert "25%" in text or "25.0%" in text
    assert "–" in found.texts("td")


def test_nothing_at_all_is_a_page_too(parsed):
    found = parsed(render({}))
    assert set(sections(found)) == ALWAYS
    assert found.texts("h1") == ["No verdict: these results name no arms"]


def test_a_launch_has_curves_and_tables_over_shares_of_the_log(launch_page, parsed):
    found = parsed(launch_page)
    assert "launch" in sections(found)
    labels = [attributes["aria-label"] for _, attributes, _ in found.all("svg")]
    assert any("by share of the target log" in label and "at 5%" in label for label in labels)
    assert any("gain of warm:ridge" in label and "at 100%" in label for label in labels)
    rows = [text.replace(" ", "") for text in found.texts("tr")]
    assert "arm5%10%30%100%" in rows
    assert "shareofthelogagainstdifferenceinpointsratioeffectsizep" in rows
    titles = [text for _, a, text in found.all("p") if a.get("class") == "title"]
    assert titles[0] == "NDCG@10, with 5% of the target log, percent"
    assert "Everyone is measured on all that is held out of them." in found.texts("p")


@pytest.mark.usefixtures("undrawn")
def test_anchors_are_told_as_numbers(launch, parsed):
    numbers = {0.05: 10, 0.1: 30, 0.3: 100, 1.0: 4800}
    launch["config"] |= {"protocol": "anchors", "levels": list(numbers.values())}
    for row in [*launch["rows"], *launch["findings"]["levels"]]:
        row["level"] = numbers[row["level"]]
    found = parsed(render(launch))
    assert "With few anchors" in found.texts("h2")
    assert "arm10301004,800" in [text.replace(" ", "") for text in found.texts("tr")]


@pytest.mark.usefixtures("undrawn")
def test_new_items_among_known_ones_are_a_table(results, parsed):
    results["mixed"] = {
        "rows": [
            {
                "arm": "warm:ridge",
                "shots": 0,
                "recall_new": 0.12,
                "recall_new_low": 0.1,
                "recall_new_high": 0.14,
                "loss_known": -0.01,
                "calibration": 0.913,
            }
        ]
    }
    found = parsed(render(results))
    assert "mixed" in sections(found)
    row = next(text for text in found.texts("tr") if "0.91" in text)
    assert "12.0%10.0 to 14.0" in row
    assert "−1.0%" in row
    assert "recall of known" not in " ".join(found.texts("th"))
