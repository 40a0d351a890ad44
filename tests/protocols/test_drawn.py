"""Drawn splits: saved, read again, and known by their hash."""

from dataclasses import replace

import polars as pl
import pytest

from coldstart.errors import ArtefactError
from coldstart.protocols import (
    Cold,
    Drawn,
    FewAnchors,
    Launch,
    Mixed,
    Sampled,
    Temporal,
    series,
)

PROTOCOLS = [
    Cold(),
    Cold(order="random"),
    Mixed(lists=9),
    Launch(0.4),
    Temporal(0.7),
    FewAnchors(anchors=6),
    Sampled(negatives=5),
]


def draw(world, protocols=PROTOCOLS, seeds=(3, 4), side="users"):
    return Drawn.of(protocols, world.source, world.target, side=side, seeds=seeds)


@pytest.fixture(scope="module")
def drawn(world):
    return draw(world)


@pytest.fixture(scope="module")
def path(drawn, tmp_path_factory):
    return drawn.save(tmp_path_factory.mktemp("splits") / "split.parquet")


def test_every_protocol_is_drawn_with_every_seed(drawn):
    assert [len(splits) for splits in drawn.splits] == [2, 2, 2, 4, 2, 2, 2]
    assert [split.seed for split in drawn.splits[3]] == [3, 3, 4, 4]


def test_what_is_read_is_what_was_drawn(world, drawn, path):
    read = Drawn.load(path, world.source, world.target)
    assert read.protocols == drawn.protocols
    for ours, theirs in zip(drawn.splits, read.splits, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert world.described(one) == world.described(other)
    assert read.sha256 == drawn.sha256


def test_numbers_as_ids_come_back_as_numbers(world, tmp_path):
    numbered = world.numbered()
    made = draw(numbered, seeds=[1])
    made.save(tmp_path / "split.parquet")
    read = Drawn.load(tmp_path / "split.parquet", numbered.source, numbered.target)
    for ours, theirs in zip(made.splits, read.splits, strict=True):
        assert numbered.described(ours[0]) == numbered.described(theirs[0])


def test_the_hash_is_that_of_what_was_drawn(world, drawn):
    assert draw(world).sha256 == drawn.sha256
    others = {draw(world, seeds=[3, 5]).sha256, draw(world, PROTOCOLS[:-1]).sha256, drawn.sha256}
    assert len(others) == 3


def test_a_line_says_who_is_tested_and_what_comes_back_when(world):
    (split,) = Cold().splits(world.source, world.target, side="users", seed=3)
    table = draw(world, [Cold()], seeds=[3]).table
    people = table.filter(part="test person")["row"].to_list()
    assert people == world.names(split.test)
    for name, order in world.orders(split, split.test).items():
        lines = table.filter(part="test", row=name).sort("place")
        assert lines["column"].to_list() == order


def test_levels_that_come_to_the_same_are_drawn_once(world):
    """There are only some 40 people to link: 100 and all of them are the same condition."""
    made = draw(world, series("anchors"))
    assert [one.anchors for one in made.protocols] == [10, 30, 100]
    assert [splits[0].level for splits in made.splits][:2] == [10.0, 30.0]
    assert len(made.splits) == len(made.protocols)


def test_other_logs_are_refused(world, path):
    fewer = world.target.keep_users(list(range(5, len(world.target.users))))
    with pytest.raises(ArtefactError, match="no splits of these catalogs"):
        Drawn.load(path, world.source, fewer)
    grown = replace(world.target, users=world.target.users)
    dense = grown.user_items.toarray()
    dense[0, dense[0] == 0] = 1.0
    grown = type(grown).from_csr(dense, grown.users, grown.items)
    with pytest.raises(ArtefactError, match="pass the logs that it was made of"):
        Drawn.load(path, world.source, grown)


def test_files_that_are_no_splits_are_refused(world, tmp_path):
    with pytest.raises(ArtefactError, match=r"nowhere.parquet holds no splits of these catalogs"):
        Drawn.load(tmp_path / "nowhere.parquet", world.source, world.target)
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ArtefactError, match=r"take split.parquet of a run on the same two logs"):
        Drawn.load(tmp_path / "other.parquet", world.source, world.target)
    (tmp_path / "text").write_text("no table")
    with pytest.raises(ArtefactError, match="text holds no splits"):
        Drawn.load(tmp_path / "text", world.source, world.target)


def test_a_file_that_was_changed_is_refused(world, path, tmp_path):
    table = pl.read_parquet(path)
    first = pl.col("part") == "test person"
    changed = table.filter(~(first & (pl.col("row") == table.filter(first)["row"][0])))
    changed.write_parquet(tmp_path / "changed.parquet")
    with pytest.raises(ArtefactError):
        Drawn.load(tmp_path / "changed.parquet", world.source, world.target)
