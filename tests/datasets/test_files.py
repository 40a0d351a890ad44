"""Logs are read from files as they are, or refused in one line that says why."""

import gzip
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldstart import datasets
from coldstart.datasets import read_interactions
from coldstart.errors import DataError
from coldstart.interactions import Interactions

LOG = """domain,user,item,stars,timestamp
film,007,a,3,2020-01-02
film,7,b,1,2020-01-03
book,7,c,2,2020-01-01
film,007,a,5,2019-12-31
"""


def pairs(log: Interactions) -> set[tuple[object, object]]:
    entries = log.user_items.tocoo()
    return set(zip(log.users.ids[entries.row], log.items.ids[entries.col], strict=True))


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(LOG, encoding="utf-8")
    return path


class TestWhatIsRead:
    def test_ids_of_text_files_stay_strings(self, log_file: Path) -> None:
        log = read_interactions(log_file)
        assert pairs(log) == {("007", "a"), ("7", "b"), ("7", "c")}

    def test_repeated_pairs_are_merged_and_counted(self, log_file: Path) -> None:
        log = read_interactions(f"{log_file}#film", weight="stars")
        assert log.repeated == 1
        assert log.user_items.toarray().tolist() == [[5, 0], [0, 1]]

    def test_without_a_weight_every_row_counts_one(self, log_file: Path) -> None:
        assert set(read_interactions(log_file).user_items.data) == {1.0}

    def test_a_domain_is_what_follows_the_last_hash(self, log_file: Path) -> None:
        assert pairs(read_interactions(f"{log_file}#book")) == {("7", "c")}

    def test_a_file_whose_name_has_a_hash_is_found_first(self, log_file: Path) -> None:
        odd = log_file.with_name("log#1.csv")
        odd.write_text(LOG, encoding="utf-8")
        assert read_interactions(odd).nnz == 3
        assert read_interactions(f"{odd}#book").nnz == 1

    def test_any_path_object_will_do(self, log_file: Path) -> None:
        class Elsewhere(os.PathLike[str]):
            def __fspath__(self) -> str:
                return f"{log_file}#book"

        assert read_interactions(Elsewhere()).shape == (1, 1)

    def test_a_column_named_timestamp_is_used_unasked(self, log_file: Path) -> None:
        log = read_interactions(log_file)
        assert log.timestamps is not None
        assert (log.timestamps[1:] > log.timestamps[0]).all()  # "007" met "a" in 2019

    def test_an_empty_column_named_timestamp_means_no_time(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("user,item,timestamp\na,x,\nb,x,\n", encoding="utf-8")
        assert read_interactions(path).timestamps is None

    def test_unix_seconds_stay_as_they_are(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("user,item,when\na,x,1400000000\nb,x,1300000000\n", encoding="utf-8")
        times = read_interactions(path, timestamp="when").timestamps
        assert times is not None
        assert times.tolist() == [1400000000, 1300000000]

    def test_column_names_and_separator_can_be_set(self, tmp_path: Path) -> None:
        path = tmp_path / "log.CSV"
        path.write_text("who;shop;what\nä;1;x\nb;2;y\n", encoding="utf-8")
        log = read_interactions(f"{path}#1", user="who", item="what", domain="shop", separator=";")
        assert pairs(log) == {("ä", "x")}

    def test_blank_last_lines_and_a_byte_order_mark_do_not_matter(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_bytes(b"\xef\xbb\xbfuser,item\r\na,x\r\n\r\n\r\n")
        assert pairs(read_interactions(path)) == {("a", "x")}

    @pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".tsv.gz"])
    def test_every_kind_of_text_file_gives_the_same(self, log_file: Path, suffix: str) -> None:
        raw = (LOG.replace(",", "\t") if ".tsv" in suffix else LOG).encode()
        path = log_file.with_name(f"other{suffix}")
        path.write_bytes(gzip.compress(raw) if suffix.endswith(".gz") else raw)
        assert pairs(read_interactions(path)) == pairs(read_interactions(log_file))

    def test_parquet_keeps_the_types_of_ids(self, tmp_path: Path) -> None:
        path = tmp_path / "log[1].parquet"  # brackets must not be taken for a pattern
        frame = pl.DataFrame({"user": [7, 3, 7], "item": ["a", "b", "b"], "domain": [1, 1, 2]})
        frame.write_parquet(path)
        assert pairs(read_interactions(path)) == {(7, "a"), (3, "b"), (7, "b")}
        assert pairs(read_interactions(f"{path}#2")) == {(7, "b")}

    def test_parquet_keeps_categories_and_datetimes(self, tmp_path: Path) -> None:
        path = tmp_path / "log.parquet"
        frame = pl.DataFrame({"user": ["a", "b"], "item": ["x", "x"], "timestamp": [1, 0]})
        frame = frame.with_columns(
            pl.col("user").cast(pl.Categorical), pl.from_epoch("timestamp", time_unit="s")
        )
        frame.write_parquet(path)
        log = read_interactions(path)
        assert pairs(log) == {("a", "x"), ("b", "x")}
        assert log.timestamps is not None
        assert log.timestamps.tolist() == [1_000_000, 0]


# Text of any characters but lone surrogates, which no UTF-8 file can hold.
IDS = st.text(min_size=1, max_size=8)
ROWS = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=8)
AWKWARD = [("a,b", '"'), ("\n", "\r\n"), ('""', " "), ("#1", "\t"), ("NA", "null"), ("1.0", "1\0")]


def field(text: str, separator: str, *, always: bool) -> str:
    """Quote as the csv module does, which cannot write NUL in Python 3.10."""
    needed = always or any(mark in text for mark in (separator, '"', "\r", "\n"))
    return '"{}"'.format(text.replace('"', '""')) if needed else text


@pytest.mark.parametrize("always", [True, False], ids=["all quoted", "quoted where needed"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
@given(rows=ROWS)
@example(rows=AWKWARD)
@settings(max_examples=60, deadline=None)
def test_ids_of_any_characters_survive_a_text_file(
    rows: list[tuple[str, str]], suffix: str, always: bool
) -> None:
    mark = "\t" if suffix == ".tsv" else ","
    lines = [mark.join(field(text, mark, always=always) for text in row) for row in rows]
    raw = "\r\n".join([f"user{mark}item", *lines, ""]).encode()
    with TemporaryDirectory() as folder:
        path = Path(folder, f"log{suffix}")
        path.write_bytes(gzip.compress(raw) if suffix.endswith(".gz") else raw)
        log = read_interactions(path)
    assert pairs(log) == set(rows)
    assert log.repeated == len(rows) - len(set(rows))


@given(rows=st.lists(st.tuples(IDS, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_ids_of_any_kind_survive_a_parquet_file(rows: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "log.parquet")
        pl.DataFrame(
            rows, schema={"user": pl.String, "item": pl.Int64}, orient="row"
        ).write_parquet(path)
        assert pairs(read_interactions(path)) == set(rows)


@given(names=st.lists(IDS, min_size=1, max_size=5, unique=True))
@settings(max_examples=60, deadline=None)
def test_any_domain_can_be_named(names: list[str]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "log.parquet")
        users = [str(n) for n in range(len(names))]
        pl.DataFrame({"domain": names, "user": users, "item": users}).write_parquet(path)
        for name, user in zip(names, users, strict=True):
            if "#" not in name:
                assert pairs(read_interactions(f"{path}#{name}")) == {(user, user)}


HEADER = b"domain,user,item,stars,timestamp\n"
# the same bytes at any time: they are part of the names of the tests
COMPRESSED = gzip.compress(LOG.encode(), mtime=0)
BAD_FILES = [
    ("log.txt", HEADER, {}, "unknown type of file, the known ones are .csv, .csv.gz, .tsv"),
    ("log.csv", b"", {}, "the file is empty"),
    ("log.csv", b"\n\r\n", {}, "the file is empty"),
    ("log.parquet", b"", {}, "the file is empty"),
    ("log.csv", HEADER, {}, "the file has a header but no rows"),
    ("log.csv", b"user,item,x", {}, "the file has a header but no rows"),
    ("log.csv", b"a,b\nc,d\n", {}, "no column 'user', 'item'; the columns are 'a', 'b'"),
    ("log.csv", LOG.encode(), {"user": "User"}, "no column 'User'; the columns are 'domain', "),
    ("log.csv", LOG.encode(), {"weight": "rating"}, "there is no column 'rating'"),
    ("log.csv", LOG.encode(), {"timestamp": "when"}, "there is no column 'when'"),
    ("log.csv#x", b"user,item\na,b\n", {}, "there is no column 'domain'"),
    ("log.csv#game", LOG.encode(), {}, "no domain 'game'; the domains are 'book', 'film'"),
    ("log.csv#", LOG.encode(), {}, "there is no domain ''"),
    ("log.csv.gz", COMPRESSED[:-12], {}, "the compressed file is cut short"),
    ("log.csv.gz", COMPRESSED[:6], {}, "the compressed file is cut short"),
    ("log.csv.gz", LOG.encode(), {}, "the file is not gzip, or damaged"),
    ("log.csv", "user,item\na,b\né,x\n".encode("latin-1"), {}, "line 3 is not UTF-8"),
    ("log.csv", LOG.encode("utf-16"), {}, "line 1 is not UTF-8"),
    ("log.csv", b"user,item\na,b,c\n", {}, "this is no valid csv file: found more fields"),
    ("log.csv", b'user,item\na,"b\nc,d\n', {}, "a double quote is never closed"),
    ("log.csv", b'user,item,title\na,b,x\nc,d,"y\n', {}, "a double quote is never closed"),
    ("log.parquet", b"PAR1 and no more", {}, "this is no valid parquet file"),
    ("log.csv", b"user,item\na,b\na\n", {}, "column 'item' has 1 null ids in 2 rows"),
    ("log.csv", b'user,item\n"",b\n', {}, "column 'user' has 1 null ids in 1 rows"),
    ("log.csv", LOG.encode(), {"weight": "item"}, "'item' is not numeric: 4 of 4 values"),
    ("log.csv", b"user,item,w\na,b,nan\n", {"weight": "w"}, "1 of 1 weights are NaN"),
    ("log.csv", b"user,item,w\na,b,\nc,d,1", {"weight": "w"}, "1 of 2 weights are NaN"),
    ("log.csv", b"user,item,w\na,b,1\nc,d,-1", {"weight": "w"}, "of user 'c' and item 'd'"),
    ("log.csv", b"user,item,w\na,b,inf\n", {"weight": "w"}, "weights are NaN, infinite"),
    ("log.csv", b"user,item,w\na,b,0\n", {"weight": "w"}, "all 1 weights are 0"),
    ("log.csv", b"user,item,timestamp\na,b,soon\n", {}, "column 'timestamp' holds no points"),
    ("log.csv", b"user,item,timestamp\na,b,1\nc,b,", {}, "has 1 null timestamps in 2 rows"),
]


@pytest.mark.parametrize(("name", "content", "columns", "message"), BAD_FILES)
def test_a_bad_file_is_refused_in_one_line_that_names_it(
    tmp_path: Path, name: str, content: bytes, columns: dict[str, str], message: str
) -> None:
    path = tmp_path / name.partition("#")[0]
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_interactions(tmp_path / name, **columns)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.csv: there is no such file$"):
        read_interactions(f"{tmp_path / 'missing.csv'}#film")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "log.csv").mkdir()
    with pytest.raises(DataError, match="the file cannot be read"):
        read_interactions(tmp_path / "log.csv")


def test_only_the_first_twenty_domains_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"d{n:02},u,i" for n in range(25)]
    path.write_text("\n".join(["domain,user,item", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=r"'d18', 'd19' and 5 more$"):
        read_interactions(f"{path}#x")


@pytest.mark.parametrize("separator", ["::", "", "é", '"', "\n"])
def test_a_separator_is_one_ascii_character(log_file: Path, separator: str) -> None:
    with pytest.raises(ValueError, match="separator must be one ASCII character"):
        read_interactions(log_file, separator=separator)


def test_parquet_has_no_separator(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame({"user": ["a"], "item": ["b"]}).write_parquet(path)
    with pytest.raises(ValueError, match="separator is for text files"):
        read_interactions(path, separator=",")


def test_the_package_offers_its_two_ways_to_get_a_log() -> None:
    assert {"make_cross_domain", "read_interactions"} <= set(dir(datasets))
    assert callable(datasets.make_cross_domain)
    with pytest.raises(AttributeError, match="has no attribute 'read_ratings'"):
        datasets.read_ratings  # noqa: B018
