import numpy as np
import pytest
import scipy.special
import scipy.stats

from coldstart.datasets import synthetic
from coldstart.datasets.synthetic import CrossDomain, make_cross_domain

SMALL = {
    "n_users": 300,
    "n_source_items": 90,
    "n_target_items": 70,
    "factors": 5,
    "target_factors": 4,
    "source_interactions": 12.0,
    "target_interactions": 6.0,
}


def draw(**changes):
    return make_cross_domain(**{**SMALL, **changes})


def anchor_embeddings(data):
    """Source and target embeddings of the people in both catalogs, row by row."""
    people = [person for person in data.source.users if person in data.target.users]
    source = data.source_embeddings[data.source.users.rows(people)]
    return source, data.target_embeddings[data.target.users.rows(people)]


def with_intercept(rows):
    return np.column_stack([np.ones(len(rows)), rows])


def largest_canonical_correlation(left, right):
    bases = [np.linalg.qr(rows - rows.mean(axis=0))[0] for rows in (left, right)]
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)[0]


def permutation_null(left, right, draws=200):
    rng = np.random.default_rng(7)
    return [largest_canonical_correlation(left, rng.permutation(right)) for _ in range(draws)]


def gini(counts):
    ascending = np.sort(counts)
    ranks = np.arange(1, ascending.size + 1)
    return (2 * ranks - ascending.size - 1) @ ascending / (ascending.size * ascending.sum())


def users_per_item(log):
    return np.diff(log.user_items.tocsc().indptr)


def items_per_user(log):
    return np.diff(log.user_items.indptr)


def buyers(log, item):
    column = log.user_items[:, log.items.rows([item])[0]].toarray().ravel()
    return set(log.users.ids[column > 0])


def equal(left, right):
    return (
        left.users == right.users
        and left.items == right.items
        and left.user_items.shape == right.user_items.shape
        and (left.user_items != right.user_items).nnz == 0
    )


class TestTheMap:
    def test_least_squares_recovers_it_exactly_without_noise(self):
        data = draw(noise=0.0)
        source, target = anchor_embeddings(data)
        found = np.linalg.lstsq(with_intercept(source), target, rcond=None)[0]
        assert data.map.shape == (6, 4)
        np.testing.assert_allclose(found, data.map, rtol=0, atol=1e-12)

    def test_residuals_have_the_size_of_the_noise(self):
        data = draw(noise=0.3, n_users=4000)
        source, target = anchor_embeddings(data)
        residuals = target - with_intercept(source) @ data.map
        assert residuals.std() == pytest.approx(0.3, rel=0.05)

    def test_unrelated_catalogs_correlate_no_more_than_shuffled_ones(self):
        source, target = anchor_embeddings(draw(unrelated=True))
        null = permutation_null(source, target)
        assert largest_canonical_correlation(source, target) < max(null)

    def test_related_catalogs_correlate_more_than_shuffled_ones(self):
        source, target = anchor_embeddings(draw())
        null = permutation_null(source, target)
        assert largest_canonical_correlation(source, target) > 1.5 * max(null)

    def test_activity_goes_together_unless_the_catalogs_are_unrelated(self):
        def correlation(data):
            sizes = [dict(zip(log.users, items_per_user(log), strict=True)) for log in data]
            both = sizes[0].keys() & sizes[1].keys()
            pairs = np.log([[sizes[0][person], sizes[1][person]] for person in sorted(both)])
            return np.corrcoef(pairs.T)[0, 1]

        assert correlation(draw(n_users=2000)) > 0.25
        assert abs(correlation(draw(n_users=2000, unrelated=True))) < 0.1


class TestTheLogs:
    def test_sizes_widths_and_ids_are_as_asked_for(self):
        data = draw()
        source, target = data
        assert (source.shape, target.shape) == ((270, 90), (270, 70))
        assert data.source_embeddings.shape == (270, 5)
        assert data.target_embeddings.shape == (270, 4)
        assert data.source_item_embeddings.shape == (90, 5)
        assert data.target_item_embeddings.shape == (70, 4)
        assert (len(data.source_popularity), len(data.target_popularity)) == (90, 70)
        assert (source.items.ids[5], target.items.ids[9]) == ("s5", "t9")
        assert all(person.startswith("u") for person in source.users.union(target.users))

    def test_every_interaction_counts_one(self):
        assert all((log.user_items.data == 1).all() for log in draw())

    @pytest.mark.parametrize("overlap", [0.0, 0.25, 0.7, 1.0])
    def test_the_share_of_people_in_both_is_the_overlap(self, overlap):
        source, target = draw(overlap=overlap)
        alone_in_source, alone_in_target = (
            sum(person not in other.users for person in log.users)
            for log, other in [(source, target), (target, source)]
        )
        assert len(source.users) - alone_in_source == round(overlap * 300)
        assert len(source.users.union(target.users)) == 300
        assert abs(alone_in_source - alone_in_target) <= 1

    def test_the_overlap_changes_nothing_but_who_is_there(self):
        everybody, some = draw(overlap=1.0), draw(overlap=0.5)
        for full, part in zip(everybody, some, strict=True):
            rows = full.users.rows(part.users)
            assert (full.user_items[rows] != part.user_items).nnz == 0

    def test_people_have_as_many_interactions_as_asked_for_on_average(self):
        source, target = draw(n_users=4000, n_source_items=400, n_target_items=300)
        assert items_per_user(source).mean() == pytest.approx(12, rel=0.05)
        assert items_per_user(target).mean() == pytest.approx(6, rel=0.05)

    def test_everybody_has_from_one_interaction_to_half_of_the_catalog(self):
        sizes = items_per_user(draw(source_interactions=40.0).source)
        assert (sizes.min() >= 1, sizes.max()) == (True, 45)

    def test_the_default_looks_like_a_real_log(self):
        source, target = make_cross_domain()
        for log in (source, target):
            assert 0.45 < gini(users_per_item(log)) < 0.8
            assert 0.35 < gini(items_per_user(log)) < 0.6
            assert items_per_user(log).max() > 5 * items_per_user(log).mean()

    def test_most_people_in_both_have_five_interactions_on_both_sides_by_default(self):
        source, target = make_cross_domain()
        eligible = [set(log.users.ids[items_per_user(log) >= 5]) for log in (source, target)]
        assert len(eligible[0] & eligible[1]) > 0.6 * 1600

    def test_more_skew_concentrates_the_interactions(self):
        flat, skewed = (gini(users_per_item(draw(skew=skew).target)) for skew in (0.0, 2.0))
        assert skewed > flat + 0.3


class TestTheChoices:
    def test_without_affinity_items_are_chosen_by_their_popularity(self):
        data = draw(n_users=5000, affinity=0.0, source_interactions=1.0)
        weight = np.exp(data.source_popularity)
        expected = len(data.source.users) * weight / weight.sum()
        p = scipy.stats.chisquare(users_per_item(data.source), expected).pvalue
        assert p > 1e-3

    def test_single_choices_follow_the_softmax_of_affinity_and_popularity(self):
        data = draw(n_users=5000, target_interactions=1.0)
        logits = data.target_embeddings @ data.target_item_embeddings.T + data.target_popularity
        shares = scipy.special.softmax(logits, axis=1)  # (n_users, n_items)
        surprise = np.log(shares)
        chosen = surprise[np.arange(len(shares)), data.target.user_items.indices]
        mean = (shares * surprise).sum(axis=1)
        variance = (shares * surprise**2).sum(axis=1) - mean**2
        z = (chosen - mean).sum() / np.sqrt(variance.sum())
        assert abs(z) < 3
        p = scipy.stats.chisquare(users_per_item(data.target), shares.sum(axis=0)).pvalue
        assert p > 1e-3

    def test_blocks_do_not_change_the_data(self, monkeypatch):
        whole = draw(twins=8)
        monkeypatch.setattr(synthetic, "_KEYS_AT_ONCE", 700)
        for log, same in zip(draw(twins=8), whole, strict=True):
            assert equal(log, same)


class TestTwins:
    def test_both_copies_have_the_same_buyers(self):
        data = draw(twins=12)
        sold = [buyers(data.source, ours) for ours, _ in data.twins]
        assert sold == [buyers(data.target, theirs) for _, theirs in data.twins]
        assert len(data.twins) == 12
        assert sum(map(len, sold)) > 100

    def test_the_catalogs_keep_their_sizes(self):
        source, target = draw(twins=12)
        assert (source.shape[1], target.shape[1]) == (90, 70)

    def test_their_scores_agree_where_the_map_is_invertible_and_exact(self):
        data = draw(twins=12, noise=0.0, target_factors=5)
        source, target = anchor_embeddings(data)
        in_source = source @ data.source_item_embeddings[:12].T + data.source_popularity[:12]
        in_target = target @ data.target_item_embeddings[-12:].T + data.target_popularity[-12:]
        np.testing.assert_allclose(in_target, in_source, rtol=0, atol=1e-8)

    def test_there_are_none_by_default(self):
        assert draw().twins == []


class TestTheSeed:
    def test_the_same_seed_gives_the_same_data(self):
        first, second = draw(rng=3, twins=5), draw(rng=np.random.default_rng(3), twins=5)
        for log, same in zip(first, second, strict=True):
            assert equal(log, same)
        np.testing.assert_array_equal(first.map, second.map)
        np.testing.assert_array_equal(first.target_embeddings, second.target_embeddings)

    def test_another_seed_gives_other_data(self):
        assert not equal(draw(rng=3).source, draw(rng=4).source)

    def test_the_global_generator_is_left_alone(self):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        draw(rng=None)
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


class TestCrossDomain:
    def test_its_arrays_are_read_only(self):
        data = draw()
        with pytest.raises(ValueError, match="read-only"):
            data.map[0, 0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            data.source_embeddings[0, 0] = 1.0

    def test_it_says_how_large_it_is(self):
        assert isinstance(draw(), CrossDomain)
        assert repr(draw(twins=2)).endswith("240 people in both, 2 twins)")
        assert "270 users x 90 items" in repr(draw())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_users": 1}, "n_users must be a number of at least 2, got 1"),
        ({"n_users": 100.0}, "n_users must be an integer, got 100.0"),
        ({"n_users": True}, "n_users must be a number of at least 2, got True"),
        ({"n_target_items": 3}, "n_target_items must be a number of at least 4, got 3"),
        ({"factors": 0}, "factors must be a number of at least 1, got 0"),
        ({"target_factors": "8"}, "target_factors must be an integer, got '8'"),
        ({"overlap": 1.2}, "overlap must be a number from 0 to 1, got 1.2"),
        ({"overlap": float("nan")}, "overlap must be a number from 0 to 1, got nan"),
        ({"source_interactions": 46}, "source_interactions must be a number from 1 to 45, got 46"),
        ({"target_interactions": 0.5}, "target_interactions must be a number from 1 to 35, got"),
        ({"affinity": -1}, "affinity must be a number of at least 0, got -1"),
        ({"skew": "steep"}, "skew must be a number of at least 0, got 'steep'"),
        ({"noise": float("inf")}, "noise must be a number of at least 0, got inf"),
        ({"twins": -1}, "twins must be a number from 0 to 35, got -1"),
        ({"twins": 36}, "twins must be a number from 0 to 35, got 36"),
        ({"twins": 5, "overlap": 0}, "twins need people in both catalogs, got an overlap of 0"),
    ],
)
def test_a_bad_argument_is_refused_with_what_was_expected(changes, message):
    with pytest.raises(ValueError, match=message):
        draw(**changes)
