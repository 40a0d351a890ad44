"""How strongly rows are pulled, and what serves rows of which no source says anything."""

import json

import numpy as np
import pytest

from coldstart.prior import Prior
from coldstart.strength import Fallback, NullArm, Strength


def make_prior(n=8, d=5):
    rng = np.random.default_rng(0)
    tastes = rng.normal(size=(n, d))
    return Prior(tastes, rng.uniform(1, 20, n), origin=tastes.mean(axis=0))


class TestStrength:
    def test_a_row_uses_the_last_entry_that_is_at_most_its_count(self):
        strength = Strength((0, 1, 5), (0.5, 1.0, 1.5), (1.0, 2.0, 3.0))
        counts = np.array([0, 1, 2, 4, 5, 1000])
        centre, temper = strength.knobs(counts)
        assert strength.bucket(counts).tolist() == [0, 1, 1, 1, 2, 2]
        assert centre.tolist() == [0.5, 1.0, 1.0, 1.0, 1.5, 1.5]
        assert temper.tolist() == [1.0, 2.0, 2.0, 2.0, 3.0, 3.0]

    def test_it_moves_means_and_multiplies_precisions_row_by_row(self):
        prior = Prior(np.arange(6.0).reshape(3, 2), [1.0, 2.0, 3.0], origin=[1.0, 1.0])
        strength = Strength((0, 2), (0.0, 0.5), (7.0, 10.0))
        pulled = strength.apply(prior, np.array([2, 0, 9]))
        assert pulled.mean.tolist() == [[0.5, 1.0], [1.0, 1.0], [2.5, 3.0]]
        assert pulled.precision.tolist() == [10.0, 14.0, 30.0]

    def test_as_it_comes_it_leaves_a_prior_as_it_is(self):
        prior = make_prior()
        pulled = Strength().apply(prior, np.arange(8))
        np.testing.assert_allclose(pulled.mean, prior.mean, rtol=1e-14)
        assert np.array_equal(pulled.matrices(), prior.matrices())

    def test_left_out_nothing_is_blended_in_for_any_number_of_shots(self):
        assert Strength((0, 1, 5), (1.0,) * 3, (1.0,) * 3).blend == (0.0, 0.0, 0.0)

    def test_it_survives_json_even_when_made_of_numpy_numbers(self):
        shots, knobs = np.array([0, 3]), np.array([0.25, 1.5], np.float32)
        strength = Strength(shots, knobs, [np.float32(2), 0], np.float32(5), np.array([0, 0.5]))
        assert strength == Strength((0, 3), (0.25, 1.5), (2.0, 0.0), 5.0, (0.0, 0.5))
        assert Strength.from_json(json.loads(json.dumps(strength.to_json()))) == strength

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            (((0, 1), (1.0,), (1.0, 1.0)), "shots, centre, temper and blend must have the same l"),
            (((0,), (1.0,), (1.0,), 1.0, (0.0, 0.5)), "shots, centre, temper and blend must have"),
            (((), (), ()), "shots must be ascending and begin with 0"),
            (((1,), (1.0,), (1.0,)), "shots must be ascending and begin with 0"),
            (((0, 2, 1), (1.0,) * 3, (1.0,) * 3), "shots must be ascending and begin with 0"),
            (((0, 0), (1.0,) * 2, (1.0,) * 2), "shots must be ascending and begin with 0"),
            (((0,), (np.nan,), (1.0,)), "centre must be finite, got"),
            (((0,), (1.0,), (-1.0,)), "temper must be finite and not negative, got"),
            (((0,), (1.0,), (np.inf,)), "temper must be finite and not negative, got"),
            (((0,), (1.0,), (1.0,), -2.0), "regularization must be finite and not negative, got"),
            (((0,), (1.0,), (1.0,), 2.0, (-0.1,)), "blend must be finite and not negative, got"),
            (((0,), (1.0,), (1.0,), 2.0, (np.nan,)), "blend must be finite and not negative, got"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, parts, message):
        with pytest.raises(ValueError, match=message):
            Strength(*parts)


class TestWithoutASource:
    @pytest.mark.parametrize(
        ("arm", "words"),
        [
            (NullArm("popularity", "anchors"), "popularity among anchors"),
            (NullArm("plain", regularization=200.0), "no prior, ridge 200"),
            (NullArm("mean", "all", 0.3, 20.0), "mean of all, temper 0.3, ridge 20"),
        ],
    )
    def test_an_arm_says_what_it_is(self, arm, words):
        assert str(arm) == words

    @pytest.mark.parametrize("parts", [("median", "all"), ("mean", "everybody")])
    def test_other_arms_are_refused(self, parts):
        with pytest.raises(ValueError, match="no such arm without a source: '"):
            NullArm(*parts)

    def test_a_row_uses_the_last_arm_that_is_at_most_its_count(self):
        fallback = Fallback((0, 2), (NullArm("popularity"), NullArm("mean")))
        assert fallback.bucket(np.array([0, 1, 2, 9])).tolist() == [0, 0, 1, 1]

    def test_it_survives_json(self):
        fallback = Fallback((0, 2), (NullArm("popularity", "anchors"), NullArm("mean", "all", 0.3)))
        assert Fallback.from_json(json.loads(json.dumps(fallback.to_json()))) == fallback

    @pytest.mark.parametrize(
        ("shots", "message"),
        [((0, 1), "shots and arms must have the same length"), ((1,), "shots must be ascending")],
    )
    def test_arms_that_do_not_fit_the_shots_are_refused(self, shots, message):
        with pytest.raises(ValueError, match=message):
            Fallback(shots, (NullArm(),))


def test_a_fallback_in_words_names_an_arm_where_it_begins():
    mean, plain = NullArm("mean", "all", 3.0, 2.0), NullArm("plain", "all", 1.0, 20.0)
    assert str(Fallback((0, 1, 2, 5), (mean, mean, plain, plain))) == (
        "mean of all, temper 3, ridge 2; from 2 interactions on no prior, ridge 20"
    )
