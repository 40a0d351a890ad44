"""Planted twins are found, and nothing else is."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binom

from coldstart import Interactions, twins
from coldstart.anchors import find_anchors
from coldstart.datasets import make_cross_domain, read_interactions
from coldstart.twins import Twins, find_twins, tellable, twin_columns

SHARED = Path(__file__).parents[2] / "shared" / "data"


def logs(seed=0, n=80, m=(60, 45)):
    rng = np.random.default_rng(seed)
    source, target = (rng.random((n, k)) * (rng.random((n, k)) < 0.12) for k in m)
    target[:, [3, 7]] = source[:, [10, 20]]
    return sp.csr_matrix(source), sp.csr_matrix(target)


def by_definition(source, target, alike=0.6, least=3, chance=math.inf):
    """Every pair of columns looked at one by one."""
    a, b = (source.toarray() != 0).T, (target.toarray() != 0).T
    sizes = np.array([p.sum() for p in a]), np.array([q.sum() for q in b])
    ratio = np.minimum(*np.ix_(*sizes)) >= alike * np.maximum(*np.ix_(*sizes)) - 1e-9
    compared = (ratio & (np.minimum(*np.ix_(*sizes)) >= least)).sum()
    return {
        (i, j, int((p & q).sum()))
        for i, p in enumerate(a)
        for j, q in enumerate(b)
        if (p & q).sum() >= max(least, alike * (p | q).sum() - 1e-9)
        if max(by_chance(p, q, b), by_chance(q, p, a)) * compared < chance
    }


def by_chance(p, q, columns):
    """Probability of as many common rows with p, of one of `columns` that is as large as q."""
    mean = q.sum() * columns[:, p].sum() / columns.sum() / p.sum()
    return binom.sf((p & q).sum() - 1, p.sum(), min(mean, 1))


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


@pytest.mark.parametrize(
    ("alike", "least", "chance"),
    [
        *((0.8, 3, math.inf), (0.3, 2, math.inf), (0.25, 5, math.inf), (1.0, 1, math.inf)),
        *((0.3, 2, 3.0), (0.25, 3, 10.0), (0.6, 3, 0.05)),
    ],
)
def test_they_are_the_pairs_that_the_definition_gives(alike, least, chance):
    both = logs()
    expected = by_definition(*both, alike, least, chance)
    assert expected
    assert found_in(*both, alike=alike, least=least, chance=chance) == expected


def test_chance_leaves_some_out():
    few = by_definition(*logs(), 0.25, 3, 10.0)
    assert 2 < len(few) < len(by_definition(*logs(), 0.25, 3))


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_do_not_show(block, monkeypatch):
    whole = found_in(*logs(), alike=0.25, chance=math.inf)
    monkeypatch.setattr(twins, "BLOCK", block)
    assert found_in(*logs(), alike=0.25, chance=math.inf) == whole


def test_weights_do_not_matter():
    source, target = logs()
    assert found_in(source * 5, target) == found_in(source, target)


def test_pairs_with_most_people_in_common_come_first():
    pairs = find_twins(*logs(), alike=0.2, chance=math.inf)
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


def matched(name, source, target, side):
    """The rows of anchors in two domains of a shared data set."""
    path = SHARED / name / "interactions.csv.gz"
    if not path.is_file():
        pytest.skip(f"the shared data set {name} is not there")
    logs = [read_interactions(f"{path}#{domain}") for domain in (source, target)]
    if side == "items":
        logs = [log.T for log in logs]
    anchors = find_anchors(*(log.users for log in logs))
    return logs[0].user_items[anchors.source], logs[1].user_items[anchors.target]


def planted(source, target, columns, rng):
    """Further target columns: copies that lack 5% of the rows and have as many others."""
    copies = np.zeros((source.shape[0], len(columns)), np.float32)
    for place, column in enumerate(columns):
        who = source[:, [column]].nonzero()[0]
        copies[who[rng.random(len(who)) >= 0.05], place] = 1
        copies[rng.choice(len(copies), rng.binomial(len(who), 0.05)), place] = 1
    return sp.hstack([target, copies], format="csr")


@pytest.mark.parametrize(
    ("name", "source", "target", "side"),
    [
        ("amazon", "Food", "Kitchen", "users"),
        ("yelp", "Restaurants", "Nightlife", "users"),
        ("douban", "music", "book", "users"),
        ("epinions", "cat03", "cat04", "users"),
        ("xmrec", "uk", "de", "items"),
    ],
)
def test_twins_planted_in_real_catalogs_are_found_and_little_else(name, source, target, side):
    source, target = matched(name, source, target, side)
    rng = np.random.default_rng(7)
    columns = rng.choice(np.flatnonzero(tellable(source, target)), 200, replace=False)
    pairs = find_twins(source, planted(source, target, columns, rng))
    found = set(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True))
    known = set(zip(columns.tolist(), target.shape[1] + np.arange(200), strict=True))
    assert len(found & known) / len(known) >= 0.99
    assert len(found & known) / len(found) >= 0.95


def test_variants_and_people_who_act_as_one_are_one_row():
    """Ten rows that go together everywhere are no ten witnesses, in whichever catalog they do."""
    rng = np.random.default_rng(3)
    source, target = (rng.random((90, k)) < 0.05 for k in (300, 200))
    same = source.copy()
    same[:10] = same[:1]
    one = np.zeros(90, bool)
    one[:10] = True
    with_pair = [np.column_stack([log, one]) for log in (source, same, target)]
    apart, together, other = map(sp.csr_matrix, with_pair)
    assert found_in(apart, other) == {(300, 200, 10)}
    assert found_in(together, other) == found_in(other, together) == set()
    assert (300, 200, 1) in found_in(together, other, least=1, alike=1.0, chance=math.inf)


class TestTellable:
    def test_a_column_of_few_rows_is_not_and_one_of_many_is(self):
        rng = np.random.default_rng(0)
        source, target = (sp.random(400, k, 0.02, "csr", rng=rng) for k in (90, 70))
        size, told = np.diff(source.tocsc().indptr), tellable(source, target)
        assert not told[size < 5].any()
        assert told[size >= 8].all()
        assert (size < 5).any()

    def test_what_almost_everybody_chose_is_not(self):
        rng = np.random.default_rng(0)
        source, target = (rng.random((200, k)) < 0.1 for k in (30, 20))
        source[:, 0] = rng.random(200) < 0.95
        told = tellable(*map(sp.csr_matrix, (source, target)))
        assert not told[0]
        assert told[1:].any()


def test_twin_columns_are_numbers_of_the_whole_target_and_rows_meet_by_id():
    source, target = logs()
    shuffled = np.random.default_rng(1).permutation(80)
    source = Interactions.from_csr(source, users=np.arange(80))
    target = Interactions.from_csr(target[shuffled], users=shuffled)
    anchors = find_anchors(source.users, target.users)
    assert twin_columns(source, target, anchors).tolist() == [3, 7]
