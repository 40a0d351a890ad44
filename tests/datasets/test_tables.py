"""RecBole's files are read as they are, whatever their columns are called, or refused."""

import gzip
from pathlib import Path

import pytest

from coldstart.datasets import read_features, read_interactions, read_titles
from coldstart.errors import DataError
from coldstart.interactions import Interactions

INTER = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    '007\ta"1\t3\t978300760\n7\tb\t4.5\t978300761.0\n'
)
ITEM = (
    "item_id:token\tmovie_title:token_seq\tyear:float\tclass:token_seq\n"
    '1\t"Great Performances" Cats\t1998\tMusical\n'
    "2\tToy Story\t1995\tAnimation Comedy\n"
    "3\t\t\t\n"
)


def pairs(log: Interactions) -> set[tuple[object, object]]:
    entries = log.user_items.tocoo()
    return set(zip(log.users.ids[entries.row], log.items.ids[entries.col], strict=True))


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        raw = text.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return write


class TestInteractions:
    @pytest.mark.parametrize("name", ["ml.inter", "ml.inter.gz", "ML.INTER"])
    def test_ids_are_text_and_quotes_mean_nothing(self, write, name: str) -> None:
        assert pairs(read_interactions(write(name, INTER))) == {("007", 'a"1'), ("7", "b")}

    def test_numbers_are_numbers(self, write) -> None:
        log = read_interactions(write("ml.inter", INTER), weight="rating")
        assert log.user_items.sum() == 7.5
        assert log.timestamps is not None
        assert log.timestamps.tolist() == [978300760, 978300761]

    def test_columns_can_be_named(self, write) -> None:
        path = write("x.inter", "who:token\twhat:token\tfirst:token\nann\tx\tb1\nann\ty\tb2\n")
        log = read_interactions(path, user="who", item="first")
        assert pairs(log) == {("ann", "b1"), ("ann", "b2")}

    def test_a_column_of_that_very_name_comes_first(self, write) -> None:
        path = write("x.inter", "user:token\tuser_id:token\titem_id:token\nann\tu1\tx\n")
        assert pairs(read_interactions(path)) == {("ann", "x")}

    def test_domains_are_told_apart_by_a_column(self, write) -> None:
        text = "user_id:token\titem_id:token\tdomain:token\nann\tx\tbook\nann\ty\tfilm\n"
        assert pairs(read_interactions(f"{write('x.inter', text)}#film")) == {("ann", "y")}

    def test_a_byte_order_mark_and_line_ends_of_windows_do_not_matter(self, write) -> None:
        path = write("x.inter", "\ufeff" + INTER.replace("\n", "\r\n"))
        log = read_interactions(path, weight="rating")
        assert pairs(log) == {("007", 'a"1'), ("7", "b")}

    def test_a_separator_can_be_set(self, write) -> None:
        path = write("x.inter", INTER.replace("\t", ","))
        assert read_interactions(path, separator=",").nnz == 2


class TestItems:
    def test_titles_are_found_under_the_names_that_they_have(self, write) -> None:
        expected = {"1": '"Great Performances" Cats', "2": "Toy Story"}
        assert read_titles(write("ml.item", ITEM)) == expected
        assert read_titles(write("ml.item.gz", ITEM), title="movie_title") == expected

    def test_they_are_features_too(self, write) -> None:
        features = read_features(
            write("ml.item", ITEM.replace("3\t\t", "3\t\t1990")),
            categories=["class"],
            numbers=["year"],
        )
        assert repr(features).startswith("Features(3 ids x ")

    def test_titles_of_other_tables_are_read(self, write) -> None:
        text = "domain,sku,label\nbook,1,Green tea\nbook,1,again\nbook,2,\nfilm,3,Black tea\n"
        path = write("items.csv", text)
        assert read_titles(f"{path}#book", item="sku", title="label") == {"1": "Green tea"}

    def test_what_has_none_is_refused(self, write) -> None:
        with pytest.raises(DataError, match=r"x\.csv: there is no column 'title'; the columns are"):
            read_titles(write("x.csv", "item,name\na,b\n"))


HEADER = "user_id:token\titem_id:token\trating:float\n"
BAD = [
    ("", "the file is empty"),
    (HEADER, "the file has a header but no rows"),
    ("user_id\titem_id\nann\tx\n", "as NAME:TYPE, as in user_id:token, .* got 'user_id': is this"),
    ("user_id:token\titem_id:id\nann\tx\n", "got 'item_id:id'"),
    ("user_id:token item_id:token\nann x\n", "got 'user_id:token item_id:token': is this"),
    ("uid:token\titem_id:token\nann\tx\n", "there is no column 'user'; the columns are 'uid', 'it"),
    ("user_id:float\titem_id:token\n1\tx\n", "'user_id' is of type float, but ids are of type"),
    (HEADER + "ann\tx\tgood\n", "column 'rating' is not numeric: 1 of 1 .* first is 'good'"),
    (HEADER + "ann\tx\t1\t2\n", "this is no valid inter file: found more fields"),
    (HEADER + "ann\t\t1\n", "column 'item' has 1 null ids in 1 rows"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_file_is_refused_in_one_line_that_names_it(write, text: str, message: str) -> None:
    path = write("log.inter", text)
    with pytest.raises(DataError, match=message) as caught:
        read_interactions(path, weight="rating" if "rating" in text else None)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
