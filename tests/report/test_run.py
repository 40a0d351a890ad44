"""What a run is called, and which of its rows are meant."""

import pytest

from coldstart.report.run import Run


@pytest.mark.parametrize(
    ("files", "subject"),
    [
        ({"source": "logs/a.csv.gz#Food", "target": "logs/a.csv.gz#Kitchen"}, "Food → Kitchen"),
        ({"source": "films.csv.gz", "target": r"C:\logs\books.parquet"}, "films → books"),
        ({"source": None, "target": None}, "synthetic catalogs"),
    ],
)
def test_catalogs_are_called_by_their_domain_or_file(files, subject):
    assert Run({"config": {"files": files}}).subject == subject


def test_what_is_not_known_of_the_files_is_not_claimed():
    assert Run({"config": {}}).subject == "source → target"


def test_items_are_not_called_people():
    assert Run({"config": {"side": "items", "test": 1234}}).tested == "1,234 items"


def test_of_several_levels_the_last_is_meant():
    rows = [{"metric": "ndcg", "level": level, "mean": level} for level in (0.05, 1.0, 0.3)]
    assert [row["mean"] for row in Run({"rows": rows}).rows_of("ndcg")] == [1.0]
