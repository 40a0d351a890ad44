"""TransportAdapter: hidden rotations found without anchors, unrelated clouds refused.

The parts are compared with loops, POT and scipy; where nothing else is said both sides are the same
numbers computed in two ways and agree to 1e-8.
"""

import pickle
import sys
from functools import partial

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from coldstart.adapters import AnchorContext, TransportAdapter
from coldstart.adapters.alignment import (
    Cloud,
    _coupling,
    _nearest_rotation,
    align,
    clustered,
    directions,
    mutual_neighbours,
)
from coldstart.adapters.alignment_report import AlignmentReport
from coldstart.adapters.chance import Scrambled
from coldstart.errors import AlignmentError, AnchorError

ot = pytest.importorskip("ot", reason="needs the library POT")

GROUPS, D_SOURCE, D_TARGET = 12, 6, 8
Quick = partial(TransportAdapter, 40, starts=10, permutations=19)


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def clusters(rng, centres, n, noise=0.15):
    """Rows around some of `centres` (n_groups, d), unequally often, with activity as length."""
    share = np.random.default_rng(len(centres)).dirichlet(np.full(len(centres), 5.0))
    rows = centres[rng.choice(len(centres), size=n, p=share)]
    rows = rows + noise * rng.normal(size=rows.shape)
    return rows * rng.lognormal(sigma=0.3, size=(n, 1))


def draw_centres(rng, width=D_SOURCE):
    centres = rng.normal(size=(GROUPS, width))
    return centres / np.linalg.norm(centres, axis=1, keepdims=True)


def rotation_of(rng):
    """(D_SOURCE, D_TARGET) with orthonormal rows."""
    return np.linalg.qr(rng.normal(size=(D_TARGET, D_SOURCE)))[0].T


def related(seed, n=300, m=260):
    """Two catalogs without a person in common, one of them rotated into a wider space and moved."""
    rng = np.random.default_rng(seed)
    centres, rotation = draw_centres(rng), rotation_of(rng)
    source, target = clusters(rng, centres, n), clusters(rng, centres, m)
    noise = 0.02 * rng.normal(size=(m, D_TARGET))
    return source, 1.0 + 2 * target @ rotation + noise, rotation


def unrelated(seed, n=300, m=260):
    """As many groups on both sides, with nothing else in common."""
    rng = np.random.default_rng(seed)
    source, target = (clusters(rng, draw_centres(rng), size) for size in (n, m))
    return source, target @ rotation_of(rng)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def fitted():
    source, target, rotation = related(0)
    return Quick().fit(source, target), source, rotation


class TestRelatedClouds:
    def test_new_rows_are_mapped_as_by_the_hidden_rotation(self, fitted):
        adapter, _, rotation = fitted
        new = clusters(np.random.default_rng(9), draw_centres(np.random.default_rng(0)), 50)
        found = adapter.predict(new).mean - 1.0
        cosines = np.sum(unit(found) * unit(new @ rotation), axis=1)
        assert np.median(cosines) > 0.95
        assert np.quantile(cosines, 0.1) > 0.8

    def test_the_rotation_is_the_hidden_one(self, fitted):
        adapter, _, rotation = fitted
        assert np.linalg.norm(adapter.rotation_ - rotation) < 0.3 * np.linalg.norm(rotation)

    def test_the_p_value_is_the_least_that_so_many_permutations_can_show(self, fitted):
        report = fitted[0].report_
        assert report.accepted
        assert report.p_value == pytest.approx(1 / 20)
        assert report.agreement > max(report.chance)
        assert report.stability > 0.95
        assert report.pairs == fitted[0].pairs_.shape[1] > 2

    @pytest.mark.parametrize("seed", [1, 2, 3, 4])
    def test_other_rotations_are_found_too(self, seed):
        source, target, rotation = related(seed)
        adapter = Quick(permutations=0).fit(source, target)
        assert np.linalg.norm(adapter.rotation_ - rotation) < 0.3 * np.linalg.norm(rotation)

    def test_the_wider_side_may_be_the_source(self):
        target, source, rotation = related(0)
        adapter = Quick(permutations=0).fit(source, target)
        assert np.linalg.norm(adapter.rotation_ - rotation.T) < 0.3 * np.linalg.norm(rotation)

    def test_the_same_seed_gives_the_same_bits_and_another_one_the_same_map(self, fitted):
        adapter, source, rotation = fitted
        again = Quick().fit(source, related(0)[1])
        assert again.report_ == adapter.report_
        assert np.array_equal(again.predict(source).mean, adapter.predict(source).mean)
        other = Quick(rng=5, permutations=0).fit(source, related(0)[1])
        assert np.linalg.norm(other.rotation_ - rotation) < 0.3 * np.linalg.norm(rotation)

    def test_the_intercept_leans_toward_the_mean_of_all_target_rows(self):
        source, target, _ = related(0)
        mean = np.full(D_TARGET, 50.0)
        adapter = Quick(permutations=0)
        told = adapter.fit(source, target, context=AnchorContext(mean=mean)).predict(source)
        near(told.origin, adapter.map_.intercept_)
        assert np.all(told.origin > target.mean(axis=0) + 5)

    def test_rows_of_weight_zero_do_not_count(self):
        source, target, _ = related(0)
        weight = np.ones(len(source))
        weight[::3] = 0
        garbage = source.copy()
        garbage[::3] = 100.0
        ours = Quick(permutations=0).fit(garbage, target, weight=weight)
        theirs = Quick(permutations=0).fit(source[weight > 0], target)
        near(ours.predict(source).mean, theirs.predict(source).mean)


class TestUnrelatedClouds:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_groups_that_lie_elsewhere_are_refused(self, seed):
        adapter = Quick()
        with pytest.raises(
            AlignmentError, match="do not align better than by chance: alignment of"
        ):
            adapter.fit(*unrelated(seed))
        assert not adapter.report_.accepted
        assert adapter.report_.p_value > 0.05
        assert adapter.report_.pairs == 0

    def test_clouds_without_groups_are_refused(self):
        rng = np.random.default_rng(0)
        with pytest.raises(AnchorError, match=r"in 19 trials, p = 0\.\d+; use anchors"):
            Quick().fit(rng.normal(size=(200, 6)), rng.normal(size=(150, 6)))

    def test_after_a_refusal_there_is_no_map_of_an_earlier_fit(self):
        source, target, _ = related(0)
        adapter = Quick(permutations=0).fit(source, target)
        adapter.permutations = 19
        with pytest.raises(AlignmentError):
            adapter.fit(*unrelated(0))
        with pytest.raises(ValueError, match="is not fitted"):
            adapter.predict(source)

    def test_without_permutations_anything_is_taken(self):
        adapter = Quick(permutations=0).fit(*unrelated(0))
        assert np.isnan(adapter.report_.p_value)
        assert "not tested against chance" in str(adapter.report_)

    def test_shapes_that_agree_in_more_than_one_way_are_refused(self):
        """The corners of a cross: it looks the same from 384 sides, so chance does not do as well,
        and no two searches end alike.
        """
        rng = np.random.default_rng(0)
        corners = np.concatenate([np.eye(4), -np.eye(4)])
        clouds = (corners[rng.permutation(np.arange(200) % 8)] for _ in range(2))
        source, target = (rows + 0.02 * rng.normal(size=rows.shape) for rows in clouds)
        adapter = Quick()
        with pytest.raises(AlignmentError, match=r"align in more than one way: .*, stability"):
            adapter.fit(source, target)
        assert adapter.report_.beats_chance
        assert adapter.report_.stability < 0.5
        assert not adapter.report_.accepted

    @pytest.mark.parametrize("kind", ["groups", "sphere", "ellipsoid"])
    def test_p_values_are_about_uniform(self, kind):
        """Of 20 uniform ones on 0.1, 0.2 .. 1 the mean is 0.55 +- 0.19 (three standard errors), and
        7 or more are 0.1 twice in 1,000 times.
        """
        adapter = TransportAdapter(20, starts=4, permutations=9, level=0.5)
        p = np.array([p_value(adapter, *CLOUDS[kind](seed)) for seed in range(20)])
        assert 0.36 < p.mean() < 0.74
        assert np.sum(p <= 0.1) < 7


def p_value(adapter, source, target):
    try:
        return adapter.fit(source, target).report_.p_value
    except AlignmentError:
        return adapter.report_.p_value


def normal(seed, spread):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(90, 5)) * spread, rng.normal(size=(70, 5)) * spread


CLOUDS = {
    "groups": partial(unrelated, n=90, m=70),
    "sphere": partial(normal, spread=1.0),
    "ellipsoid": partial(normal, spread=np.linspace(2, 0.5, 5)),
}


class TestScrambled:
    def test_groups_keep_their_size_their_inside_and_how_far_out_they_are(self):
        rng = np.random.default_rng(0)
        rows = clusters(rng, draw_centres(rng), 200, noise=0.05)
        rows -= rows.mean(axis=0)
        scrambled = Scrambled.of(rows, np.ones(200), rng)
        drawn = scrambled.draw(rng)
        labels = scrambled.labels
        assert 5 < labels.max() + 1 < 20
        for group in range(labels.max() + 1):
            before, after = rows[labels == group], drawn[labels == group]
            near(np.linalg.norm(after.mean(axis=0)), np.linalg.norm(before.mean(axis=0)))
            near(
                np.linalg.norm(after - after.mean(axis=0), axis=1),
                np.linalg.norm(before - before.mean(axis=0), axis=1),
            )

    def test_where_groups_lie_is_destroyed(self):
        rng = np.random.default_rng(0)
        rows = clusters(rng, draw_centres(rng), 200, noise=0.05)
        scrambled = Scrambled.of(rows, np.ones(200), rng)
        centres = directions(scrambled.centres, np.ones(len(scrambled.centres)))
        drawn = scrambled.draw(rng)
        dealt = np.stack([drawn[scrambled.labels == g].mean(axis=0) for g in range(len(centres))])
        cosines = [unit(c) @ unit(c).T for c in (centres, dealt)]
        upper = np.triu_indices(len(centres), 1)
        assert abs(np.corrcoef(*(c[upper] for c in cosines))[0, 1]) < 0.4  # of about 60 pairs

    def test_rows_without_groups_are_dealt_out_one_by_one(self):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(120, 5))
        scrambled = Scrambled.of(rows, np.ones(120), rng)
        assert len(scrambled.centres) == 120
        near(scrambled.inside, np.zeros((120, 5)))
        near(np.linalg.norm(scrambled.draw(rng), axis=1), np.linalg.norm(scrambled.centres, axis=1))

    def test_axes_are_principal_ones(self):
        rng = np.random.default_rng(0)
        scrambled = Scrambled.of(
            rng.normal(size=(120, 3)) @ rng.normal(size=(3, 3)), np.ones(120), rng
        )
        covariance = scrambled.centres.T @ scrambled.centres
        near(covariance - np.diag(covariance.diagonal()), np.zeros((3, 3)))


class TestParts:
    def test_couplings_are_those_of_pot(self):
        rng = np.random.default_rng(0)
        cost, p, q = rng.random((7, 5)), rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
        theirs = ot.sinkhorn(p, q, cost, reg=0.3)
        near(_coupling(-cost[None] / 0.3, p, q)[0], theirs, rtol=1e-6)  # 30 passes

    @pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
    def test_rotations_are_orthonormal_and_the_nearest(self, shape):
        matrix = np.random.default_rng(0).normal(size=shape)
        rotation = _nearest_rotation(matrix[None])[0]
        small = min(shape)
        product = rotation @ rotation.T if shape[0] == small else rotation.T @ rotation
        near(product, np.eye(small))
        if shape[0] == shape[1]:
            near(rotation, orthogonal_procrustes(np.eye(small), matrix)[0])

    def test_mutual_neighbours_are_those_of_loops(self):
        rng = np.random.default_rng(0)
        source, target = unit(rng.normal(size=(40, 3))), unit(rng.normal(size=(30, 3)))
        cosines = source @ target.T
        near_source = [np.sort(row)[-10:].mean() for row in cosines]
        near_target = [np.sort(column)[-10:].mean() for column in cosines.T]
        score = np.array(
            [
                [2 * cosines[i, j] - near_source[i] - near_target[j] for j in range(30)]
                for i in range(40)
            ]
        )
        pairs = [
            (i, j)
            for i in range(40)
            for j in range(30)
            if score[i].argmax() == j and score[:, j].argmax() == i
        ]
        assert list(zip(*mutual_neighbours(source, target).tolist(), strict=True)) == pairs

    def test_clusters_that_lie_apart_are_found(self):
        truth = np.repeat(np.arange(4), 25)
        points = unit(np.eye(4)[truth] + 0.02 * np.random.default_rng(0).normal(size=(100, 4)))
        labels, centres = clustered(points, np.ones(100), 4, np.random.default_rng(1))
        assert len({*zip(truth.tolist(), labels.tolist(), strict=True)}) == 4
        near(centres[labels], np.eye(4)[truth], rtol=0.03)

    def test_few_points_stand_for_themselves_and_many_for_clusters_of_their_mass(self):
        rng = np.random.default_rng(0)
        points, weight = unit(rng.normal(size=(50, 3))), rng.random(50)
        weight[4] = 0
        few = Cloud.of(points, weight, 50, rng)
        near(few.points, np.delete(points, 4, axis=0))
        near(few.mass, np.delete(weight, 4) / weight.sum())
        many = Cloud.of(points, weight, 12, rng)
        assert len(many.mass) <= 12
        near(many.mass.sum(), 1)
        near(np.linalg.norm(many.points, axis=1), np.ones(len(many.mass)))

    def test_a_cloud_agrees_with_its_own_rotation(self):
        rng = np.random.default_rng(0)
        points = directions(clusters(rng, draw_centres(rng), 60), np.ones(60))
        turn = np.linalg.qr(rng.normal(size=(D_SOURCE, D_SOURCE)))[0]
        mass = np.full(60, 1 / 60)
        found = align(Cloud(points, mass), Cloud(points @ turn, mass), 30, rng)
        near(found.rotation, turn, rtol=0.05)  # a soft coupling
        assert 0.8 < found.agreement <= 1


class TestErrors:
    def test_too_few_rows(self):
        source, target, _ = related(0)
        message = "at least 10 rows of each side .* it got 9 of the source and 260 of the target"
        with pytest.raises(AlignmentError, match=message):
            Quick().fit(source[:9], target)

    def test_without_pot_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "ot.gromov", None)
        with pytest.raises(ImportError, match=r"pip install 'coldstart\[transport\]'"):
            Quick().fit(*related(0)[:2])

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                {"representatives": 5},
                "representatives must be a whole number of at least 10, got 5",
            ),
            ({"starts": -1}, "starts must be a whole number of at least 0, got -1"),
            ({"permutations": 2.5}, "permutations must be a whole number of at least 0, got 2.5"),
            ({"level": 0}, "level must be between 0 and 1, got 0"),
            ({"permutations": 18}, "18 permutations cannot show p <= 0.05: use at least 19, or 0"),
        ],
    )
    def test_settings_out_of_range(self, settings, message):
        with pytest.raises(ValueError, match=message):
            TransportAdapter(**settings).fit(*related(0)[:2])

    def test_the_error_and_the_report_survive_pickling(self):
        report = AlignmentReport(20, 30, 0.5, (0.4, 0.6, 0.3), 0.05, stability=0.9)
        assert pickle.loads(pickle.dumps(report)) == report
        error = pickle.loads(pickle.dumps(AlignmentError("no shape")))
        assert isinstance(error, AnchorError)
        assert str(error) == "no shape"

    def test_a_report_counts_the_alignment_itself(self):
        report = AlignmentReport(20, 30, 0.5, (0.4, 0.5, 0.6, 0.3), 0.05)
        assert report.p_value == pytest.approx(3 / 5)
        assert not report.accepted

    @pytest.mark.parametrize("stability", [0.4, float("nan"), 0.6])
    def test_a_report_accepts_what_beats_chance_and_was_found_twice(self, stability):
        report = AlignmentReport(20, 30, 0.5, (0.1,) * 19, 0.05, stability=stability)
        assert report.beats_chance
        assert report.accepted == (stability == 0.6)
