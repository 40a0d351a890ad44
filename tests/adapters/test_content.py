"""ContentAdapter: titles, categories and the like against scikit-learn, known maps and real titles.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-8.
"""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LinearRegression, Ridge

from coldstart import PriorALS
from coldstart.adapters import AnchorContext, ContentAdapter, MeanAdapter, RidgeAdapter
from coldstart.datasets import read_features, read_interactions
from coldstart.errors import AnchorError
from coldstart.heldout import hold_out
from coldstart.metrics import metric

SHARED = Path(__file__).parents[3] / "shared" / "data" / "amazon"

N, P, D_SOURCE, D = 400, 12, 5, 3
KINDS = ("both", "features", "source", "neither")


class World:
    """Target rows that follow from features and, beyond them, from source rows, which follow from
    features in part.
    """

    def __init__(self, n=N, *, noise=0.3, seed=0, source_counts=True):
        maps, rng = np.random.default_rng(9), np.random.default_rng(seed)
        along, of_features = maps.normal(size=(P, D_SOURCE)), maps.normal(size=(P, D))
        self.of_source = maps.normal(size=(D_SOURCE, D)) * source_counts
        self.features = rng.uniform(0.5, 2, size=(n, P)) * (rng.random((n, P)) < 0.4)
        self.features[:, 0] = 1 + rng.random(n)  # no row is without features
        self.source = self.features @ along + rng.normal(size=(n, D_SOURCE))
        self.target = 2 + self.features @ of_features + self.source @ self.of_source
        self.target += noise * rng.normal(size=(n, D))

    def fit(self, adapter, *, weight=None, form=np.asarray, **context):
        context = AnchorContext(features=form(self.features), **context)
        return adapter.fit(self.source, self.target, weight=weight, context=context)

    def ask(self, adapter, kind, *, form=np.asarray):
        """The prior of all rows as if they had features, a source row, both or neither."""
        features = self.features * (kind in ("features", "both"))
        source = self.source * (kind in ("source", "both"))
        return adapter.predict(source, context=AnchorContext(features=form(features)))

    def regressors(self, kind):
        parts = {"both": [self.features, self.source], "features": [self.features]}
        return np.hstack(parts.get(kind, [self.source]))


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def error(mean, target):
    """Mean squared distance from the target rows."""
    return np.mean(np.sum((mean - target) ** 2, axis=1))


class TestFeaturesAlone:
    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.coo_matrix])
    def test_the_map_is_the_ridge_of_scikit_learn(self, form):
        world, weight = World(), np.linspace(0.2, 3, N)
        adapter = world.fit(ContentAdapter(2.0, embeddings=False), weight=weight, form=form)
        mean = np.average(world.features, axis=0, weights=weight)
        length = np.average(np.sum((world.features - mean) ** 2, axis=1), weights=weight)
        theirs = Ridge(alpha=2.0 * length).fit(world.features, world.target, sample_weight=weight)
        near(adapter.content_.coef, theirs.coef_.T)
        near(world.ask(adapter, "features", form=form).mean, theirs.predict(world.features))

    def test_the_intercept_lies_between_the_mean_of_all_rows_and_that_of_the_anchors(self):
        world, m0 = World(n=20), np.array([5.0, -5.0, 0.0])
        adapter = world.fit(ContentAdapter(1.0), mean=m0)
        expected = (64 * m0 + 20 * world.target.mean(axis=0)) / 84
        near(adapter.origin_, expected, rtol=1e-12)
        near(world.ask(adapter, "both").origin, expected, rtol=1e-12)
        near(world.ask(adapter, "neither").mean, np.tile(expected, (20, 1)), rtol=1e-12)

    def test_without_embeddings_source_rows_are_not_looked_at(self):
        world = World()
        adapter = world.fit(ContentAdapter(1.0, embeddings=False))
        assert adapter.joint_ is adapter.embedding_ is None
        near(world.ask(adapter, "both").mean, world.ask(adapter, "features").mean, rtol=1e-12)

    @pytest.mark.parametrize("noise", [0.1, 30.0])
    def test_the_ridge_that_is_chosen_is_good_on_other_rows(self, noise):
        """Within 10% of the best of the grid on 2,000 rows; with 600 to learn from the best one is
        large where there is much noise, and small where there is little.
        """
        world, new = World(n=600, noise=noise), World(n=2000, noise=0.0, seed=1)
        errors = {}
        for ridge in ("auto", 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0):
            adapter = world.fit(ContentAdapter(ridge, embeddings=False))
            errors[ridge] = error(new.ask(adapter, "features").mean, new.target)
        chosen = errors.pop("auto")
        assert chosen < 1.1 * min(errors.values()) < max(errors.values())
        assert (min(errors, key=errors.get) > 1) == (noise > 1)

    def test_posterior_covariances_of_the_target_rows_are_added(self):
        world, noise = World(), np.diag([1.0, 2.0, 3.0])
        priors = [
            world.ask(world.fit(ContentAdapter(1.0, embeddings=False), **told), "features")
            for told in ({}, {"target_covariance": noise})
        ]
        plain, told = (np.linalg.inv(prior.matrices(slice(1))[0]) for prior in priors)
        near(told - plain, noise)


class TestTogether:
    @pytest.mark.parametrize("kind", ["both", "features", "source"])
    def test_each_kind_of_row_is_predicted_as_by_least_squares_on_what_it_has(self, kind):
        """2,000 rows to learn from leave 5% between a ridge and the best linear prediction."""
        world, new = World(n=2000), World(n=2000, seed=1)
        theirs = LinearRegression().fit(world.regressors(kind), world.target)
        best = error(theirs.predict(new.regressors(kind)), new.target)
        assert error(new.ask(world.fit(ContentAdapter()), kind).mean, new.target) < 1.05 * best

    def test_what_the_embedding_adds_is_its_slope_beside_the_features(self):
        """Partialling out: 2,000 rows of noise 0.3 leave about 0.01 in every slope."""
        world = World(n=2000)
        adapter = world.fit(ContentAdapter(normalize=False))
        np.testing.assert_allclose(adapter.joint_.coef_, world.of_source, atol=0.05)

    def test_an_embedding_that_only_repeats_features_adds_nothing(self):
        world = World(source_counts=False)
        new = World(n=2000, seed=1, source_counts=False)
        adapter = world.fit(ContentAdapter())
        apart = error(new.ask(adapter, "features").mean, new.target)
        assert error(new.ask(adapter, "both").mean, new.target) < 1.1 * apart

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_prior_states_how_far_off_it_is(self, kind):
        """The trace of its covariance against 2,000 new rows, to 15%."""
        new = World(n=2000, seed=1)
        prior = new.ask(World().fit(ContentAdapter()), kind)
        trace = np.mean(np.trace(np.linalg.inv(prior.matrices()), axis1=1, axis2=2))
        assert error(prior.mean, new.target) == pytest.approx(trace, rel=0.15)

    def test_each_row_is_served_by_what_it_has_beside_rows_of_other_kinds(self):
        world = World(n=40)
        adapter = world.fit(ContentAdapter(1.0))
        has_source, has_features = np.arange(40) % 2 < 1, np.arange(40) % 4 < 2
        source = world.source * has_source[:, None]
        context = AnchorContext(features=sp.csr_matrix(world.features * has_features[:, None]))
        mixed = adapter.predict(source, context=context)
        for place, kind in enumerate(("both", "features", "source", "neither")):
            rows = np.flatnonzero(np.arange(40) % 4 == place)
            apart = world.ask(adapter, kind).take(rows)
            near(mixed.take(rows).mean, apart.mean)
            near(mixed.take(rows).matrices(), apart.matrices())

    def test_sparse_features_are_dense_ones(self):
        world = World()
        for kind in KINDS:
            priors = [
                world.ask(world.fit(ContentAdapter(), form=form), kind, form=form)
                for form in (np.asarray, sp.csr_matrix)
            ]
            near(priors[0].mean, priors[1].mean)
            near(priors[0].matrices(), priors[1].matrices())

    def test_rows_with_neither_features_nor_source_do_not_move_the_maps(self):
        world, fewer = World(), World()
        world.source[:50], world.features[:50] = 0, 0
        fewer.source, fewer.target, fewer.features = (
            rows[50:] for rows in (world.source, world.target, world.features)
        )
        ours, theirs = (one.fit(ContentAdapter(1.0)) for one in (world, fewer))
        near(ours.content_.coef, theirs.content_.coef)
        near(ours.embedding_.coef_, theirs.embedding_.coef_)
        near(ours.joint_.coef_, theirs.joint_.coef_)

    def test_rows_in_no_source_catalog_teach_the_features_all_the_same(self):
        """With two anchors and 398 other rows the map from features is that of all 400."""
        world, whole = World(), World()
        world.source[2:] = 0
        near(
            world.fit(ContentAdapter(1.0)).content_.coef,
            whole.fit(ContentAdapter(1.0)).content_.coef,
        )

    def test_weights_count_rows(self):
        world, twice = World(n=60), World(n=60)
        weight = np.ones(60)
        weight[7], weight[9] = 2, 0
        rows = np.delete(np.append(np.arange(60), 7), 9)
        twice.source, twice.target, twice.features = (
            array[rows] for array in (world.source, world.target, world.features)
        )
        ours, theirs = world.fit(ContentAdapter(1.0), weight=weight), twice.fit(ContentAdapter(1.0))
        for kind in KINDS:
            near(world.ask(ours, kind).mean, world.ask(theirs, kind).mean)
            near(world.ask(ours, kind).matrices(), world.ask(theirs, kind).matrices())


class TestWithout:
    def test_features_it_is_the_ridge_map_bit_for_bit(self):
        world = World()
        context = AnchorContext(mean=np.ones(D), other_factors=np.eye(D))
        ours, theirs = (
            kind.fit(world.source, world.target, context=context).predict(world.source)
            for kind in (ContentAdapter(), RidgeAdapter())
        )
        assert np.array_equal(ours.mean, theirs.mean)
        assert np.array_equal(ours.matrices(), theirs.matrices())

    def test_a_source_the_features_alone_serve(self):
        world = World()
        world.source[:] = 0
        adapter = world.fit(ContentAdapter(1.0))
        assert adapter.joint_ is adapter.embedding_ is None
        alone = world.fit(ContentAdapter(1.0, embeddings=False))
        other = World(seed=1)
        near(other.ask(adapter, "both").mean, other.ask(alone, "both").mean, rtol=1e-12)

    @pytest.mark.parametrize("n", [0, 1])
    def test_rows_to_learn_from_it_is_the_mean_prior(self, n):
        world, told = World(n=n), {"mean": np.ones(D), "covariance": np.diag([1.0, 2.0, 3.0])}
        adapter = world.fit(ContentAdapter(), **told)
        null = MeanAdapter().fit(world.source, world.target, context=AnchorContext(**told))
        new = World(n=7)
        for kind in KINDS:
            near(new.ask(adapter, kind).mean, null.predict(new.source).mean)
            near(new.ask(adapter, kind).matrices(), null.predict(new.source).matrices())

    def test_features_and_anchors_there_is_nothing_to_learn_from(self):
        with pytest.raises(AnchorError, match="needs at least 2 anchors"):
            ContentAdapter().fit(np.zeros((1, 4)), np.zeros((1, 2)))


class TestErrors:
    def test_features_are_needed_where_nothing_else_is_read(self):
        world = World()
        with pytest.raises(ValueError, match="reads features alone, and there are none: pass"):
            ContentAdapter(embeddings=False).fit(world.source, world.target)
        adapter = world.fit(ContentAdapter(embeddings=False))
        with pytest.raises(ValueError, match="reads features alone, and there are none: pass"):
            adapter.predict(world.source)

    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
    def test_their_rows_must_be_those_of_the_source(self, form):
        world = World()
        fewer = AnchorContext(features=form(world.features[:38]))
        message = "context.features must have a row for each of the 400 embeddings"
        with pytest.raises(ValueError, match=message):
            ContentAdapter().fit(world.source, world.target, context=fewer)
        with pytest.raises(ValueError, match=message):
            world.fit(ContentAdapter(1.0)).predict(world.source, context=fewer)

    def test_their_columns_must_be_those_of_the_fit(self):
        world = World()
        context = AnchorContext(features=world.features[:, :5])
        with pytest.raises(ValueError, match="features is 5 wide but the adapter was fitted on 12"):
            world.fit(ContentAdapter(1.0)).predict(world.source, context=context)

    def test_they_must_be_finite(self):
        world = World()
        world.features[3, 2] = np.nan
        with pytest.raises(ValueError, match="features holds 1 NaN or inf"):
            world.fit(ContentAdapter())

    def test_they_must_come_in_the_fit_too(self):
        world = World()
        adapter = ContentAdapter().fit(world.source, world.target)
        with pytest.raises(ValueError, match="fitted without features: pass them to fit too"):
            world.ask(adapter, "both")

    @pytest.mark.parametrize("ridge", [0, -1.0, np.inf, "gcv"])
    def test_a_ridge_is_a_positive_number_or_chosen(self, ridge):
        with pytest.raises(ValueError, match='ridge must be "auto" or a positive number'):
            World().fit(ContentAdapter(ridge))


@pytest.fixture(scope="module")
def launch():
    """A model of Food without 500 items, and their titles."""
    if not (SHARED / "items.csv.gz").is_file():
        pytest.skip("the shared data set amazon is not here")
    log = read_interactions(SHARED / "interactions.csv.gz#Food").T
    titles = read_features(SHARED / "items.csv.gz#Food", text=["title"])
    rng = np.random.default_rng(0)
    told = np.diff(titles.rows(log.users)[0].indptr) > 0
    eligible = np.flatnonzero(told & (np.diff(log.user_items.indptr) >= 5))
    train, held = hold_out(log, rng.permutation(eligible)[:500], order="random", rng=rng)
    model = PriorALS(factors=32, rng=0).fit(train.user_items, show_progress=False)
    return model, train, held, titles, log.users.ids[held.rows]


class TestTitles:
    """Items of Food that lose all their buyers before anything is fitted; people are ranked for
    each by what the titles of the other items say. NDCG@100, as NDCG@10 of an item with five buyers
    among 7,000 is mostly zero.
    """

    def quality(self, launch, features, new):
        """NDCG@100 of every item by its features `new`."""
        model, train, held, *_ = launch
        target = model.fold_in(train.user_items)
        context = AnchorContext(features=features, mean=target.mean(axis=0, dtype=np.float64))
        nowhere = np.zeros((len(target), 1))
        adapter = ContentAdapter(1.0, embeddings=False).fit(nowhere, target, context=context)
        asked = AnchorContext(features=new)
        mean = adapter.predict(np.zeros((new.shape[0], 1)), context=asked).mean
        ranked = held.rank_all(
            lambda block: (mean[block] @ model.item_factors.T).astype(np.float32), 0, n=100
        )
        return metric("ndcg")(ranked.hits, ranked.relevant)

    def test_they_beat_the_mean_prior_and_other_items_titles_do_not(self, launch):
        """Paired over items: 3 standard errors above, and with shuffled titles not even 1."""
        *_, train, _, titles, new = launch
        features, wanted = titles.rows(train.users)[0], titles.rows(new)[0]
        mean_prior = self.quality(launch, features, 0 * wanted)
        gain = self.quality(launch, features, wanted) - mean_prior
        assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))
        assert gain.mean() > 0.03
        order = np.random.default_rng(1).permutation(features.shape[0])
        chance = self.quality(launch, features[order], wanted) - mean_prior
        assert chance.mean() < chance.std() / np.sqrt(len(chance))
