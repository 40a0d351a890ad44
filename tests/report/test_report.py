"""The page as a file: it needs nothing else, is the same to the byte, and is written whole."""

import json
import os
import re
import subprocess
import sys
import warnings

import pytest

from coldstart.report import render, write_report
from coldstart.results import Results

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_page_loads_nothing(page, parsed):
    found = parsed(page)
    assert "http:" not in page
    assert "https:" not in page
    assert not found.all("script", "link", "img", "iframe", "object", "base", "form")
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    for tag, attributes, _ in found.elements:
        assert not {"src", "srcset", "data", "xlink:href", "style-src"} & set(attributes), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("href", "#").startswith("#"), attributes


def test_the_page_forbids_everything_but_its_own_styles_before_anything_else(page, parsed):
    found = parsed(page)
    policies = [a["content"] for _, a, _ in found.all("meta") if "http-equiv" in a]
    assert policies == [POLICY]
    assert page.index(POLICY) < page.index("<style")


def test_the_page_is_small(page):
    assert len(page.encode()) < 400_000  # with seven arms; an example may take 1 MB


def test_another_process_writes_the_same_bytes_whatever_matplotlib_was_told(
    complete, page, tmp_path
):
    """Its strings have other hashes."""
    (tmp_path / "results.json").write_text(json.dumps(complete))
    code = (
        "import json, pathlib, matplotlib as mpl; from coldstart.report import write_report;"
        "mpl.rcParams.update({'lines.linewidth': 9, 'svg.hashsalt': 'other', 'font.size': 30});"
        "write_report(json.loads(pathlib.Path('results.json').read_text()), '.');"
        "raise SystemExit(mpl.rcParams['lines.linewidth'] != 9)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_names_stay_text(hostile_page, parsed):
    found = parsed(hostile_page)
    assert not found.all("script", "img")
    assert "<script>alert(1)</script>" in found.texts("h1")[0]
    labels = [a["aria-label"] for _, a, _ in found.all("svg")]
    assert any("<script>alert(1)</script>" in label for label in labels)
    assert any("$x_1^2$" in text for text in found.texts("th"))


def test_letters_that_the_font_of_matplotlib_lacks_are_kept_without_a_warning(parsed):
    group = {"by": "activity", "group": "少ない人", "shots": 0, "difference": 0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = parsed(render({"findings": {"groups": [group]}}))
    assert "少ない人" in found.texts("text")


def test_the_file_replaces_an_older_one_and_leaves_nothing_beside_it(minimal, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "report.html").write_text("older")
    path = write_report(minimal, tmp_path / "new")
    assert path == tmp_path / "new" / "report.html"
    assert path.read_text(encoding="utf-8") == render(minimal)
    assert os.listdir(tmp_path / "new") == ["report.html"]


def test_an_older_file_stays_where_writing_fails(minimal, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("older")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_report(minimal, tmp_path)
    assert os.listdir(tmp_path) == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "older"


def test_results_are_taken_as_objects_too(minimal):
    results = Results(minimal["config"] | {"arms": ["cold"]}, (), (), {"cold": {"fit": 1234.5}})
    assert render(results) == render(results.to_json())
    assert "1,234.5" in render(results)
