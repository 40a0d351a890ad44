"""Files of public data sets are read as they are published, each in its own format."""

import gzip
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import polars as pl
import pytest

from coldstart.datasets.formats import read_files
from coldstart.datasets.raw import Parsed
from coldstart.errors import DataError


def rows(parsed: Parsed, *columns: str) -> set[tuple[object, ...]]:
    return set(parsed.log.select(columns).iter_rows())


def titles(parsed: Parsed) -> set[tuple[str, str, str]]:
    assert parsed.items is not None
    return set(parsed.items.iter_rows())


def at(year: int, month: int, day: int, *clock: int) -> datetime:
    hour, minute, second, microsecond = (*clock, 0, 0, 0, 0)[:4]
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=timezone.utc)


FORMATS = {
    "movielens-100k": ["ml-100k.zip"],
    "movielens-1m": ["ml-1m.zip"],
    "movielens-latest-small": ["ml-latest-small.zip"],
    "book-crossing": ["BX-CSV-Dump.zip"],
    "amazon-2023": ["Toys_and_Games.csv.gz", "meta_Toys_and_Games.jsonl.gz"],
    "xmarket": ["ratings_uk_Electronics.txt.gz", "metadata_uk_Electronics.json.gz"],
    "douban": ["ratings.dat"],
}


@pytest.fixture
def read(original):
    def read(name: str, domain: str = "a domain") -> Parsed:
        return read_files(name, [original(file) for file in FORMATS[name]], domain)

    return read


@pytest.mark.parametrize("name", FORMATS)
def test_every_log_has_the_same_columns_and_types(read, name: str) -> None:
    log = read(name).log
    assert dict(log.schema) == {
        **dict.fromkeys(("domain", "user", "item"), pl.String),
        "rating": pl.Float64,
        "timestamp": pl.Datetime("ms", "UTC"),
    }
    assert log.select("domain", "user", "item").null_count().row(0) == (0, 0, 0)


class TestMovieLens:
    def test_a_film_is_in_each_of_its_genres(self, read) -> None:
        assert rows(read("movielens-100k"), "domain", "user", "item", "rating") == {
            ("Comedy", "196", "242", 3),
            ("Drama", "186", "302", 4),
            ("War", "186", "302", 4),
            ("unknown", "196", "7", 5),
        }

    def test_times_are_seconds(self, read) -> None:
        log = read("movielens-100k").log.filter(domain="Comedy")
        assert log["timestamp"].to_list() == [at(1997, 12, 4, 15, 55, 49)]

    def test_titles_of_100k_are_latin_1(self, read) -> None:
        assert ("War", "302", "Lés Misérables (1995)") in titles(read("movielens-100k"))

    def test_titles_of_1m_may_hold_colons(self, read) -> None:
        parsed = read("movielens-1m")
        assert parsed.broken == 0
        assert titles(parsed) == {
            ("Drama", "1193", "One Flew Over the Cuckoo's Nest (1975)"),
            *(
                (genre, "661", "James: the Giant::Peach é (1996)")
                for genre in ("Animation", "Children's", "Musical")
            ),
        }
        assert rows(parsed, "domain", "user", "item", "rating") == {
            ("Drama", "1", "1193", 5),
            *((genre, "2", "661", 3) for genre in ("Animation", "Children's", "Musical")),
            *((genre, "1", "661", 4) for genre in ("Animation", "Children's", "Musical")),
        }

    def test_the_small_one_is_csv_with_quotes(self, read) -> None:
        parsed = read("movielens-latest-small")
        assert rows(parsed, "domain", "item", "rating") == {
            *((genre, "1", 4.0) for genre in ("Comedy", "Drama", "Romance")),
            ("(no genres listed)", "3", 4.5),
        }
        assert ("Drama", "1", 'American President, The "é" (1995)') in titles(parsed)


class TestBookCrossing:
    def test_a_rating_of_zero_is_none(self, read) -> None:
        log = read("book-crossing").log
        assert rows(Parsed(log.head(3)), "domain", "user", "item", "rating") == {
            ("implicit", "276725", "034545104X", None),
            ("explicit", "276726", "0155061224", 5),
            ("explicit", "276729", '0"7', 10),
        }

    def test_titles_keep_quotes_and_semicolons(self, read) -> None:
        assert ("explicit", "0155061224", 'Rites with the Real "J. Peterman"; Life & é') in titles(
            read("book-crossing")
        )

    def test_broken_lines_are_left_out_and_counted(self, read) -> None:
        parsed = read("book-crossing")
        assert parsed.broken == 2
        assert len(parsed.log) == 203

    def test_titles_are_those_of_books_in_the_domain(self, read) -> None:
        assert {row[:2] for row in titles(read("book-crossing"))} == {
            ("implicit", "034545104X"),
            ("implicit", "0155061224"),
            ("explicit", "0155061224"),
        }


class TestOneFileForEachDomain:
    def test_times_of_amazon_are_milliseconds(self, read) -> None:
        times = read("amazon-2023").log["timestamp"].to_list()
        assert times == [at(2016, 1, 13, 1, 9, 42), at(2016, 2, 5, 12, 36, 25, 123_000)]

    def test_ids_of_amazon_stay_text(self, read) -> None:
        assert read("amazon-2023").log["item"].to_list() == ["B006GBITXC", "0007273754"]

    def test_titles_are_single_lines_and_of_items_that_somebody_rated(self, read) -> None:
        assert titles(read("amazon-2023", "Toys")) == {("Toys", "B006GBITXC", "Dragon Box")}

    def test_titles_may_be_absent(self, original) -> None:
        file = original("Toys_and_Games.csv.gz")
        assert read_files("amazon-2023", [file], "Toys").items is None

    def test_times_of_xmarket_are_days(self, read) -> None:
        assert rows(read("xmarket", "uk/Electronics"), "domain", "item", "rating", "timestamp") == {
            ("uk/Electronics", "0061806765", 3, at(2012, 8, 20)),
            ("uk/Electronics", "B000023VW2", 5, at(2013, 11, 24)),
        }

    def test_titles_may_be_printed_by_python_and_the_first_one_counts(self, read) -> None:
        assert titles(read("xmarket", "uk")) == {("uk", "B000023VW2", 'A "short" wave antenna')}

    def test_nothing_in_a_file_is_ever_run(self, original) -> None:
        ratings = original("ratings_uk_Electronics.txt.gz")
        code = gzip.compress(b"[].append(print('run')) or {'asin': 'a', 'title': 'b'}\n")
        with pytest.raises(DataError, match="1 of 1 lines are not as expected"):
            read_files("xmarket", [ratings, original("metadata_uk_Electronics.json.gz", code)], "")

    def test_items_of_douban_are_others_in_each_domain(self, read) -> None:
        assert rows(read("douban", "book"), "user", "item", "rating") == {
            ("1", "book-1630", 4),
            ("1", "book-1181", 4),
            ("2", "book-1630", 5),
        }

    def test_what_has_no_times_has_nulls(self, read) -> None:
        assert read("douban").log["timestamp"].null_count() == 3

    def test_line_ends_of_windows_do_not_matter(self, original) -> None:
        file = original("ratings.dat", b"1\t1630\t4\r\n1\t1181\t3\r\n")
        assert read_files("douban", [file], "book").log["rating"].to_list() == [4, 3]

    def test_a_file_that_was_unpacked_on_the_way_is_read(self, original) -> None:
        plain = gzip.decompress(original("Toys_and_Games.csv.gz").read_bytes())
        file = original("Toys_and_Games.csv.gz", plain)
        assert len(read_files("amazon-2023", [file], "Toys").log) == 2


def emptied(archive: Path, member: str) -> bytes:
    """The archive with one member empty."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, b"" if name.endswith(member) else content)
    return archive.read_bytes()


BAD = [
    ("movielens-100k", "ml-100k.zip", b"<html>not found</html>", "the file is damaged"),
    ("movielens-1m", "ml-1m.zip", "ml-100k.zip", "has no ratings.dat, but .*u.data"),
    ("movielens-1m", "ml-1m.zip", "movies.dat", "the file is empty"),
    ("amazon-2023", "Toys_and_Games.csv.gz", b"\x1f\x8bno", "the file is damaged"),
    ("amazon-2023", "Toys_and_Games.csv.gz", b"<html></html>", "the file is not as expected"),
    ("amazon-2023", "Toys_and_Games.csv.gz", b"", "the file is not as expected"),
    ("xmarket", "ratings_uk_Electronics.txt.gz", gzip.compress(b"", mtime=0), "the file is empty"),
    ("xmarket", "ratings_uk_Electronics.txt.gz", b"<html>\n", "1 of 1 .* is this the right file"),
    ("douban", "ratings.dat", b"1::2::3\n1\t2\t3\n", "1 of 2 lines .* first is '1::2::3'"),
    ("douban", "ratings.dat", b"\xff\xfe\n", "the file is not as expected"),
]


@pytest.mark.parametrize(("name", "file", "content", "message"), BAD)
def test_another_file_is_refused_in_one_line_that_names_it(
    original, name: str, file: str, content: bytes | str, message: str
) -> None:
    if isinstance(content, str):
        other = original(content if content.endswith(".zip") else file)
        content = other.read_bytes() if content.endswith(".zip") else emptied(other, content)
    path = original(file, content)
    with pytest.raises(DataError, match=message) as caught:
        read_files(name, [path], "a domain")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
