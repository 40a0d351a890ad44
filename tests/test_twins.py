"""Planted twins are found, and nothing else is."""

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart import twins
from coldstart.anchors import find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.twins import Twins, find_twins


def logs(seed=0, n=80, m=(60, 45)):
    rng = np.random.default_rng(seed)
    source, target = (rng.random((n, k)) * (rng.random((n, k)) < 0.12) for k in m)
    target[:, [3, 7]] = source[:, [10, 20]]
    return sp.csr_matrix(source), sp.csr_matrix(target)


def by_definition(source, target, alike=0.8, least=3):
    """Every pair of columns looked at one by one."""
    a, b = (source.toarray() != 0).T, (target.toarray() != 0).T
    return {
        (i, j, int((p & q).sum()))
        for i, p in enumerate(a)
        for j, q in enumerate(b)
        if (p & q).sum() >= max(least, alike * (p | q).sum() - 1e-9)
    }


def found_in(*both, **limits):
    pairs = find_twins(*both, **limits)
    columns = pairs.source, pairs.target, pairs.common
    return set(zip(*(column.tolist() for column in columns), strict=True))


def pairs_of(both):
    """The twins among the columns of anchors."""
    anchors = find_anchors(both.source.users, both.target.users)
    source, target = both.source.user_items[anchors.source], both.target.user_items[anchors.target]
    return find_twins(source, target)


def bought(both, item):
    """By how many people in both catalogs; twins are bought by nobody else."""
    return both.source.user_items[:, both.source.items.rows([item])].nnz


@pytest.mark.parametrize("unrelated", [False, True])
def test_planted_twins_are_found(unrelated):
    both = make_cross_domain(twins=60, rng=5, unrelated=unrelated)
    pairs = pairs_of(both)
    ids = both.source.items.ids[pairs.source], both.target.items.ids[pairs.target]
    found = set(zip(*ids, strict=True))
    known = {pair for pair in both.twins if bought(both, pair[0]) >= 3}
    assert len(known) > 50
    assert len(found & known) / len(known) >= 0.99
    assert len(found & known) / len(found) >= 0.95


def test_catalogs_without_twins_have_next_to_none():
    assert len(pairs_of(make_cross_domain(rng=0))) <= 2


@pytest.mark.parametrize(("alike", "least"), [(0.8, 3), (0.3, 2), (0.25, 5), (1.0, 1)])
def test_they_are_the_pairs_that_the_definition_gives(alike, least):
    both = logs()
    expected = by_definition(*both, alike, least)
    assert expected
    assert found_in(*both, alike=alike, least=least) == expected


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_do_not_show(block, monkeypatch):
    whole = found_in(*logs(), alike=0.25)
    monkeypatch.setattr(twins, "BLOCK", block)
    assert found_in(*logs(), alike=0.25) == whole


def test_weights_do_not_matter():
    source, target = logs()
    assert found_in(source * 5, target) == found_in(source, target)


def test_pairs_with_most_people_in_common_come_first():
    pairs = find_twins(*logs(), alike=0.2)
    assert (np.diff(pairs.common) <= 0).all()
    assert np.ptp(pairs.common) > 0


def test_the_share_counts_all_interactions_with_a_twin():
    both = make_cross_domain(twins=60, rng=5)
    pairs = pairs_of(both)
    ids = both.source.items.ids, both.target.items.ids
    found = Twins.of(pairs, both.target.user_items, ids)
    listed = set(both.target.items.ids[pairs.target])
    entries = both.target.items.ids[both.target.user_items.indices]
    assert found.share == np.mean([key in listed for key in entries])
    assert (found.pairs, found.target_columns) == (len(pairs), len(listed))
    assert len(found.examples) == 5
    assert all(type(one) is str for pair in found.examples for one in pair[:2])
    first = found.examples[0]
    assert f"{first[0]} = {first[1]} ({first[2]} in common)" in str(found)


def test_without_twins_the_share_is_0_and_it_says_so():
    empty = sp.csr_matrix((5, 4), dtype=np.float32)
    found = Twins.of(find_twins(empty, empty), empty, (np.arange(4), np.arange(4)))
    assert (found.pairs, found.share, found.examples) == (0, 0.0, ())
    assert str(found) == "none are cross-listed"
