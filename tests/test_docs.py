"""The README runs, its table is that of the committed results, and docstrings are true."""

import doctest
import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import coldstart
from coldstart.datasets import make_cross_domain
from coldstart.threads import one_blas_thread

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
READ_BY_HAND = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "artefact.md").read_text(), re.S
)[0]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(coldstart.__path__, "coldstart.")
    if not module.name.endswith("__main__")
]
OUTER = [
    "coldstart.adapters.linear",
    "coldstart.adapters.baselines",
    "coldstart.datasets.files",
    "coldstart.datasets.embeddings",
]


EXAMPLE, IN_PRODUCTION, WITH_FEATURES = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLE, "README.md", "exec"), {})
    assert "Moved" in capsys.readouterr().out
    assert (tmp_path / "model" / "manifest.json").exists()


def test_the_example_with_a_model_of_another_library_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    with one_blas_thread():  # implicit warns of anything else
        exec(compile(IN_PRODUCTION, "README.md", "exec"), names)
    assert type(names["model"]) is type(names["settings"])
    assert "a new book" in names["warm"].ids("items")
    exec(compile(READ_BY_HAND, "artefact.md", "exec"), by_hand := {})
    assert by_hand["people"] == list(names["warm"].ids("users"))
    served = names["warm"].served_
    assert np.array_equal(by_hand["rows"], served.mapped.factors)
    assert np.array_equal(by_hand["columns"], served.other.factors)


def test_the_arm_of_ones_own_runs_and_is_tuned_like_the_others():
    text = (ROOT / "docs" / "evaluation.md").read_text()
    (own,) = re.findall(r"```python\n(.*?)```", text, re.S)
    small = own.replace("rng=0", "n_users=200, rng=0")
    small = small.replace("shots=(0, 5)", "shots=(0,), factors=4")
    exec(compile(small, "evaluation.md", "exec"), names := {})
    assert len(names["results"].trials["damped"]["trials"]) == 2
    begin = own.index("@arm")
    assert own[begin : own.index("films")].strip().count("\n") < 10


def test_the_example_with_features_serves_a_book_that_nobody_has(tmp_path, monkeypatch):
    """Genre, title and price follow from what the book is liked for, and say who will take it."""
    world = make_cross_domain(400, 90, 120, target_interactions=15, noise=0.1, rng=1)
    monkeypatch.chdir(tmp_path)
    log = ["domain,user,item"]
    for domain, catalog in (("films", world.source), ("books", world.target)):
        for row, column in zip(*catalog.user_items.nonzero(), strict=True):
            log.append(f"{domain},{catalog.users.ids[row]},{catalog.items.ids[column]}")
    Path("log.csv").write_text("\n".join(line for line in log if not line.endswith(",t7")))
    shelf = ["item,title,genre,price"]
    for number, row in enumerate(world.target_item_embeddings):
        words = " ".join(f"w{place}{'no' if x < 0 else 'so'}" for place, x in enumerate(row))
        name = "t900" if number == 7 else f"t{number}"
        shelf.append(f"{name},{words},{'old' if row[0] < 0 else 'new'},{np.exp(row[1])}")
    Path("books.csv").write_text("\n".join(shelf))
    names = {}
    exec(compile(WITH_FEATURES, "README.md", "exec"), names)
    column = world.target.items.rows(["t7"])[0]
    takers = world.target.users.ids[world.target.user_items[:, [column]].nonzero()[0]]
    assert len(takers) < 0.3 * len(world.target.users)
    assert np.isin(names["ids"], takers).sum() >= 8  # of ten; of people at random three
    assert names["warm"].report_.gate.open[0]


def test_the_example_is_about_ten_lines():
    statements = [line for line in EXAMPLE.splitlines() if line.strip()]
    assert len(statements) <= 12


def test_two_commands_do_all_the_set_up():
    commands = re.findall(r"^pip install .*$", README, re.M)
    assert commands == [
        "pip install -e . && coldstart evaluate",
        'pip install -e ".[test]" && pytest',
    ]


def test_the_tables_of_the_readme_are_those_of_the_committed_results():
    script = runpy.run_path(str(ROOT / "benchmarks" / "readme_table.py"))
    assert script["with_tables"](README) == README


def test_links_of_the_readme_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("name", [*MODULES, *OUTER, "coldstart.datasets.synthetic"])
def test_examples_in_docstrings_are_true(name):
    failures, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failures == 0
