"""What a run is called, and which of its rows are meant."""

import pytest

from coldstart.report.run import Run


@pytest.mark.parametrize(
    ("config", "subject"),
    [
        ({"names": ["Food", "Kitchen"]}, "Food → Kitchen"),
        ({"names": ["the source", "the target"]}, "source → target"),
        ({"files": {"source": None, "target": None}}, "synthetic catalogs"),
        ({"files": {"source": "a.csv", "target": "b.csv"}}, "source → target"),
        ({}, "source → target"),
    ],
)
def test_catalogs_are_called_by_their_names_where_they_have_any(config, subject):
    assert Run({"config": config}).subject == subject


@pytest.mark.parametrize(
    ("protocol", "levels", "told"),
    [
        ("launch", [0.05, 1.0], ", with 5% of the target log"),
        ("anchors", [10, 4800], ", with 10 anchors"),
        ("cold", [], ""),
    ],
)
def test_levels_are_told_as_what_they_are(protocol, levels, told):
    assert Run({"config": {"protocol": protocol, "levels": levels}}).at_level(0) == told


def test_items_are_not_called_people():
    assert Run({"config": {"side": "items", "test": 1234}}).tested == "1,234 items"


def test_of_several_levels_the_last_is_meant():
    rows = [{"metric": "ndcg", "level": level, "mean": level} for level in (0.05, 1.0, 0.3)]
    assert [row["mean"] for row in Run({"rows": rows}).rows_of("ndcg")] == [1.0]
