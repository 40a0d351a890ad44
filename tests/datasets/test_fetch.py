"""Data sets are fetched once, checked, and then read by name without a network."""

import gzip
import hashlib
import json
import socket
import threading
from pathlib import Path

import polars as pl
import pytest

from coldstart.datasets import fetch as module
from coldstart.datasets import read_features, read_interactions, read_titles
from coldstart.datasets.cache import alone, cache_folder, fetched_domains
from coldstart.datasets.fetch import Fetched, fetch
from coldstart.datasets.registry import data_set
from coldstart.errors import DataError, DownloadError
from coldstart.interactions import Interactions

WHOLE = ("movielens-100k", "movielens-1m", "movielens-latest-small", "douban", "book-crossing")


def pairs(log: Interactions) -> set[tuple[object, object]]:
    entries = log.user_items.tocoo()
    return set(zip(log.users.ids[entries.row], log.items.ids[entries.col], strict=True))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch):
    """From now on whoever uses the network fails."""

    def block() -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("the network was used")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    return block


class TestWhatComes:
    @pytest.mark.parametrize("name", WHOLE)
    def test_what_was_fetched_is_read_by_name(self, remote, blocked, name: str) -> None:
        found = fetch(name)
        assert [part.domain for part in found] == fetched_domains(data_set(name))
        blocked()
        for part in found:
            log = read_interactions(f"{name}#{part.domain}")
            assert log.shape == (part.users, part.items)
            assert log.nnz == part.ratings
            assert (log.timestamps is not None) == name.startswith("movielens")
        assert read_interactions(name).nnz <= sum(part.ratings for part in found)

    def test_numbers_are_said(self, remote) -> None:
        assert fetch("movielens-latest-small")[0] == Fetched("Comedy", 1, 1, 1, 1)

    def test_a_whole_set_has_every_rating_once(self, remote) -> None:
        fetch("movielens-100k")
        log = read_interactions("movielens-100k", weight="rating")
        assert pairs(log) == {("196", "242"), ("186", "302"), ("196", "7")}
        assert (log.repeated, log.user_items.sum()) == (0, 12)

    def test_only_domains_that_are_named_are_fetched(self, remote) -> None:
        assert [part.domain for part in fetch("douban", ["music"])] == ["music"]
        assert {name for name, _ in remote.asked} == {"douban_music.dat"}
        with pytest.raises(DataError, match=r"^douban: it is not in the cache at .* douban book$"):
            read_interactions("douban#book")
        with pytest.raises(DataError, match=r"^douban: it is not in the cache at .* douban$"):
            read_interactions("douban")

    @pytest.mark.parametrize(
        ("name", "domain", "titles"),
        [
            ("amazon-2023", "Toys_and_Games", {"B006GBITXC": "Dragon Box"}),
            ("xmarket", "uk/Electronics", {"B000023VW2": 'A "short" wave antenna'}),
        ],
    )
    def test_large_files_of_titles_come_when_asked_for(
        self, remote, name: str, domain: str, titles: dict[str, str]
    ) -> None:
        fetch(name, [domain])
        assert len(remote.asked) == 1
        assert read_titles(f"{name}#{domain}") == {}
        with pytest.raises(DataError, match=f"there are no titles .* fetch {name} --titles"):
            read_features(f"{name}#{domain}", categories=["title"])
        (part,) = fetch(name, [domain], titles=True)
        assert part.titles == 1
        assert len(remote.asked) == 2
        assert read_titles(f"{name}#{domain}") == titles

    def test_titles_that_come_along_are_read_by_name(self, remote) -> None:
        fetch("movielens-100k")
        assert read_titles("movielens-100k#War") == {"302": "Lés Misérables (1995)"}
        assert len(read_titles("movielens-100k")) == 3
        told = repr(read_features("movielens-100k", categories=["title"]))
        assert told.startswith("Features(3 ids x 3 columns")

    def test_the_files_of_a_domain_are_plain_tables(self, remote, cache: Path) -> None:
        fetch("xmarket", ["uk/Electronics"])
        frame = pl.read_parquet(cache / "xmarket" / "interactions" / "uk-Electronics.parquet")
        assert frame.columns == ["domain", "user", "item", "rating", "timestamp"]
        assert frame["domain"].unique().to_list() == ["uk/Electronics"]

    def test_lines_that_are_left_out_are_said(self, remote) -> None:
        notes: list[str] = []
        fetch("book-crossing", tell=notes.append)
        assert "2 lines could not be read and were left out" in notes


class TestTheCache:
    def test_nothing_is_fetched_twice(self, remote, blocked) -> None:
        fetch("movielens-1m")
        blocked()
        assert fetch("movielens-1m", ["Drama"])

    def test_a_damaged_file_is_fetched_again(self, remote, cache: Path) -> None:
        fetch("movielens-1m")
        (cache / "movielens-1m" / "raw" / "ml-1m.zip").write_bytes(b"damaged")
        notes: list[str] = []
        fetch("movielens-1m", tell=notes.append)
        assert len(remote.asked) == 2
        assert notes[0].endswith("again, as the file in the cache is another or damaged")

    def test_a_file_that_was_put_there_by_hand_is_checked_and_read(
        self, remote, blocked, original, cache: Path
    ) -> None:
        raw = cache / "book-crossing" / "raw"
        raw.mkdir(parents=True)
        original("BX-CSV-Dump.zip").rename(raw / "BX-CSV-Dump.zip")
        blocked()
        assert fetch("book-crossing")

    def test_of_a_file_without_published_checksum_the_first_one_is_kept(
        self, remote, cache: Path
    ) -> None:
        notes: list[str] = []
        fetch("douban", ["book"], tell=notes.append)
        sha256 = f"sha256:{hashlib.sha256(remote.files['douban_book.dat']).hexdigest()}"
        record = cache / "douban" / "raw" / "sha256.json"
        assert json.loads(record.read_text()) == {"douban_book.dat": sha256}
        told = (
            f"douban_book.dat: no checksum is published; {sha256} is kept and checked from now on"
        )
        assert told in notes

    def test_another_one_is_refused_then_and_what_was_read_stays(self, remote, cache: Path) -> None:
        fetch("douban", ["book"])
        before = files(cache)
        (cache / "douban" / "raw" / "douban_book.dat").unlink()
        remote.files["douban_book.dat"] = b"1\t1\t1\n"
        with pytest.raises(DownloadError, match=r"Expected is what was fetched first, as .*json"):
            fetch("douban", ["book"])
        del before["douban/raw/douban_book.dat"]
        assert files(cache) == before

    def test_a_published_checksum_that_does_not_fit_leaves_nothing(
        self, remote, cache: Path
    ) -> None:
        remote.files["ml-1m.zip"] += b"tampered"
        with pytest.raises(DownloadError, match="changed at its source, or was changed on the way"):
            fetch("movielens-1m")
        assert files(cache) == {}

    def test_a_cut_download_goes_on_at_the_next_fetch(self, remote, cache: Path) -> None:
        remote.cuts = [100, 1, 1, 1]
        with pytest.raises(DownloadError, match="the connection was cut 4 times"):
            fetch("movielens-1m")
        assert not fetched_domains(data_set("movielens-1m"))
        fetch("movielens-1m")
        assert remote.asked[-1] == ("ml-1m.zip", "bytes=103-")

    def test_a_damaged_record_is_said(self, remote, cache: Path) -> None:
        fetch("douban", ["book"])
        (cache / "douban" / "raw" / "sha256.json").write_text("{")
        with pytest.raises(DataError, match=r"sha256\.json: this is no valid JSON: repair or del"):
            fetch("douban", ["book"])

    def test_a_table_gets_its_name_when_it_is_whole(
        self, remote, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: pl.DataFrame, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
        with pytest.raises(DownloadError, match=r"No space left on device\): make room, or name"):
            fetch("douban", ["book"])
        assert not list((cache / "douban" / "interactions").iterdir())

    def test_a_folder_that_cannot_be_made_is_said(
        self, remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("COLDSTART_DATA", str(tmp_path / "file"))
        with pytest.raises(DownloadError, match=r"cannot make the folder .*COLDSTART_DATA"):
            fetch("douban")

    def test_a_domain_without_interactions_is_said(self, remote) -> None:
        header = b"user_id,parent_asin,rating,timestamp\n"
        remote.files["Toys_and_Games.csv.gz"] = gzip.compress(header)
        with pytest.raises(DataError, match="no interactions in the domain 'Toys_and_Games'"):
            fetch("amazon-2023", ["Toys_and_Games"])
        remote.files["douban_book.dat"] = b"\n"
        with pytest.raises(DataError, match=r"douban_book\.dat: the file is empty"):
            fetch("douban", ["book"])

    def test_two_do_not_fetch_into_each_other(self, cache: Path) -> None:
        done = threading.Event()

        def other() -> None:
            with alone(cache):
                done.set()

        with alone(cache):
            thread = threading.Thread(target=other)
            thread.start()
            assert not done.wait(0.1)
        thread.join(10)
        assert done.is_set()

    def test_it_is_where_the_platform_keeps_such_things(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("COLDSTART_DATA", raising=False)
        assert cache_folder().is_absolute()
        assert "coldstart" in str(cache_folder())
        monkeypatch.setenv("COLDSTART_DATA", "~/data")
        assert cache_folder() == Path.home() / "data"


class TestReadingByName:
    @pytest.mark.parametrize("name", ["movielens-100k", "movielens-100k#Drama", "douban#book"])
    def test_nothing_is_ever_fetched(self, cache: Path, blocked, name: str) -> None:
        blocked()
        command = f"coldstart datasets fetch {name.replace('#', ' ').removesuffix(' Drama')}$"
        with pytest.raises(DataError, match=command):
            read_interactions(name)
        with pytest.raises(DataError, match=command):
            read_titles(name)
        assert not cache.exists()

    def test_an_unknown_domain_is_answered_with_the_known_ones(self, cache: Path) -> None:
        with pytest.raises(DataError, match=r"^douban: douban has no domain 'game'; the domains"):
            read_interactions("douban#game")

    def test_a_domain_that_is_empty_is_said(self, remote) -> None:
        fetch("movielens-1m")
        with pytest.raises(DataError, match="'War' has no interactions; Animation, Children's"):
            read_interactions("movielens-1m#War")

    def test_of_a_large_set_a_domain_must_be_named(self, remote) -> None:
        with pytest.raises(DataError, match=r"amazon-2023#Toys_and_Games; .* in the cache: none"):
            read_interactions("amazon-2023")
        fetch("amazon-2023", ["Toys_and_Games"])
        with pytest.raises(DataError, match="those in the cache: Toys_and_Games"):
            read_interactions("amazon-2023")

    def test_a_file_of_that_name_comes_first(
        self, remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch("douban")
        monkeypatch.chdir(tmp_path)
        Path("douban").write_text("user,item\n")
        with pytest.raises(DataError, match=r"^douban: unknown type of file"):
            read_interactions("douban")

    def test_an_unknown_name_is_a_missing_file(self, cache: Path) -> None:
        with pytest.raises(DataError, match=r"^netflix: unknown type of file"):
            read_interactions("netflix#films")


def test_unknown_names_are_refused_before_the_network_is_used(cache: Path, blocked) -> None:
    blocked()
    with pytest.raises(DataError, match="there is no data set 'netflix'"):
        module.fetch("netflix")
    with pytest.raises(DataError, match="has no domain 'Games'"):
        module.fetch("amazon-2023", ["Games"])
    assert not cache.exists()
