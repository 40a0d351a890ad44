"""What is known of each data set is complete, and wrong names are answered with the known ones."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from coldstart.datasets.formats import _ARCHIVES, _KEYS, _LOGS
from coldstart.datasets.registry import DATA_SETS, data_set
from coldstart.errors import DataError

EVERY = pytest.mark.parametrize("data", DATA_SETS.values(), ids=list(DATA_SETS))


@EVERY
def test_licence_citation_and_home_are_said(data) -> None:
    assert data.title
    assert data.holds
    assert data.terms.endswith(".")
    assert 0 < len(data.licence) <= 31  # fits in the table
    assert all(re.search(r"(19|20)\d\d", paper) for paper in data.citation)
    assert data.citation
    assert data.home.startswith("http")


@EVERY
def test_domains_are_distinct_and_say_how_they_are_made(data) -> None:
    assert len(set(data.domains)) == len(data.domains) >= 2
    assert set(data.example) <= set(data.domains)
    assert data.domains_are.endswith(".")
    assert not any("#" in domain for domain in data.domains)
    files = {domain.replace("/", "-") for domain in data.domains}
    assert len(files) == len(data.domains)


@EVERY
def test_every_domain_has_a_file_of_its_own_and_a_reader(data) -> None:
    assert (data.archive is None) == (data.reader in _LOGS)
    assert (data.archive is not None) == (data.reader in _ARCHIVES)
    assert (data.titles is not None) == (data.reader in _KEYS)
    files = [file for domain in data.domains for file in data.files(domain, titles=True)]
    names = {file.name for file in files}
    assert len(names) == len({file.url for file in files})
    if data.archive is not None:
        assert files == [data.archive] * len(data.domains)
    else:
        assert len(names) == len(files)
    assert all("/" not in name for name in names)


@EVERY
def test_checksums_are_whole_and_every_archive_has_one(data) -> None:
    for file in data.files(data.domains[0]):
        assert file.url.startswith("https://") or file.checksum
        if data.archive is not None:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.checksum)


def test_addresses_are_those_of_the_publishers() -> None:
    addresses = {
        ("movielens-1m", "Drama"): "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        ("amazon-2023", "Video_Games"): "https://mcauleylab.ucsd.edu/public_datasets/data/"
        "amazon_2023/benchmark/5core/rating_only/Video_Games.csv.gz",
        ("xmarket", "ca/Books"): "https://ciir.cs.umass.edu/downloads/XMarket/FULL/ca/Books/"
        "ratings_ca_Books.txt.gz",
    }
    for (name, domain), url in addresses.items():
        assert data_set(name).files(domain)[0].url == url


def test_a_file_on_github_is_that_of_a_commit() -> None:
    (file,) = data_set("douban").files("book")
    assert re.search(r"/[0-9a-f]{40}/Data/douban_book/ratings\.dat$", file.url)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="no data set 'netflix'; the known ones are movielens-100k"):
        data_set("netflix")


def test_an_unknown_domain_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"douban has no domain 'game'; .* book, movie, music$"):
        data_set("douban").chosen(["book", "game"])
    with pytest.raises(DataError, match=r"Digital_Music.* and 258 more$"):
        data_set("xmarket").chosen(["uk"])


class TestWhatIsChosen:
    def test_of_a_small_one_all_or_what_is_named_once(self) -> None:
        assert data_set("douban").chosen([]) == ["book", "movie", "music"]
        assert data_set("douban").chosen(["music", "book", "music"]) == ["music", "book"]

    def test_of_an_archive_all_whatever_is_named(self) -> None:
        data = data_set("movielens-1m")
        assert data.chosen(["Drama"]) == data.chosen([]) == list(data.domains)

    def test_of_a_large_one_what_is_named(self) -> None:
        with pytest.raises(DataError, match=r"too large .* name domains, for example Toys_and_Gam"):
            data_set("amazon-2023").chosen([])


def test_data_sets_are_values() -> None:
    data = data_set("douban")
    assert replace(data) == data
    with pytest.raises(AttributeError):
        data.name = "other"


@EVERY
def test_the_page_about_the_data_sets_has_each_of_them(data) -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{data.name}` |"))
    assert data.licence in row
    assert "the same" in row or any(year in row for year in re.findall(r"20\d\d", data.citation[0]))
