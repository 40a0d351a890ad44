"""What every registered adapter promises, whatever it learns."""

import copy
import json
import pickle
from dataclasses import fields
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.adapters import ADAPTERS, Adapter, AnchorContext, named
from coldstart.adapters.base import Tunable, in_one_space
from coldstart.adapters.transport import TransportAdapter
from coldstart.errors import AnchorError
from coldstart.prior import Prior

N, D_SOURCE, D_TARGET, N_COLUMNS = 40, 7, 4, 23
NEW = 9


def draw(n=N, d_source=D_SOURCE, d_target=D_TARGET, seed=0):
    """Rows of both catalogs: a linear map, an intercept and noise."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, d_source)) * rng.uniform(0.5, 2.0, d_source)
    weights = np.random.default_rng(99).normal(size=(1 + d_source, d_target))
    return source, weights[0] + source @ weights[1:] + 0.3 * rng.normal(size=(n, d_target))


def whole_context(n=N, d_source=D_SOURCE):
    """Everything an adapter may be told about `n` anchors."""
    rng = np.random.default_rng(5)
    spread = rng.normal(size=(D_TARGET, 2 * D_TARGET))
    return AnchorContext(
        source_rows=sp.random(n, 31, density=0.3, format="csr", random_state=1),
        target_rows=sp.random(n, N_COLUMNS, density=0.3, format="csr", random_state=2),
        other_factors=rng.normal(size=(N_COLUMNS, D_TARGET)).astype(np.float32),
        alpha=5.0,
        features=rng.normal(size=(n, 3)),
        target_covariance=0.01 * spread @ spread.T,
        mean=rng.normal(size=D_TARGET),
        covariance=spread @ spread.T,
        source_covariance=np.diag(np.arange(1.0, 1 + d_source)),
    )


def assert_same(prior, other):
    """Bit for bit."""
    assert np.array_equal(prior.mean, other.mean)
    assert np.array_equal(prior.matrices(), other.matrices())


def assert_near(prior, other, rtol=1e-8):
    np.testing.assert_allclose(prior.mean, other.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(prior.matrices(), other.matrices(), rtol=rtol, atol=rtol)


def assert_proper(prior, n, d=D_TARGET):
    """A Gaussian for each of n rows: finite means, precisions with positive eigenvalues."""
    assert isinstance(prior, Prior)
    assert prior.mean.shape == (n, d)
    assert np.isfinite(prior.mean).all()
    assert np.linalg.eigvalsh(prior.matrices()).min() > 0


class Untested(TransportAdapter):
    """The rows here have no shape in common, which it would notice: so nobody asks it."""

    def __init__(self, representatives=60, *, permutations=0, **settings):
        super().__init__(representatives, permutations=permutations, **settings)


CANNOT = {
    "transport": {
        "test_weight_two_is_having_an_anchor_twice": "who is near depends on the number of rows",
        "test_weight_zero_is_not_having_an_anchor": "a weight is that of a source row alone",
        "test_fewer_than_factors_are_enough": "three rows have no shape",
        "test_fewer_than_two_are_an_error_or_enough_as_the_adapter_says": "one row has no shape",
        "test_unequal_numbers_of_anchors": "rows need not correspond",
        "test_a_context_of_other_rows": "it reads none of them",
        "test_a_context_of_other_rows_than_the_new_ones": "it reads none of them",
    },
}
"""What an adapter cannot promise, and why: adapter, test, reason."""


@pytest.fixture(params=sorted(ADAPTERS))
def name(request, monkeypatch):
    reason = CANNOT.get(request.param, {}).get(request.node.originalname)
    if reason is not None:
        pytest.skip(reason)
    if request.param == "transport":
        pytest.importorskip("ot", reason="needs the library POT")
        monkeypatch.setitem(ADAPTERS, "transport", Untested)
    return request.param


@pytest.fixture
def d_source(name):
    """Seven columns for a map, as many as the target has where there is one space."""
    return D_TARGET if in_one_space(named(name)) else D_SOURCE


@pytest.fixture
def anchors(d_source):
    return draw(d_source=d_source)


@pytest.fixture
def new(d_source):
    return draw(NEW, d_source, seed=1)[0]


def test_an_adapter_follows_the_protocol(name):
    assert isinstance(named(name), Adapter)
    assert type(named(name)) is ADAPTERS[name]


def test_an_adapter_can_be_made_again_from_its_settings_which_are_plain_values(name):
    settings = json.loads(json.dumps(named(name).get_params()))
    assert ADAPTERS[name](**settings).get_params() == named(name).get_params()


def test_it_shows_its_settings(name):
    shown = ", ".join(f"{key}={value!r}" for key, value in named(name).get_params().items())
    assert repr(named(name)) == f"{ADAPTERS[name].__name__}({shown})"


def test_an_unknown_name_is_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"unknown adapter 'magic': known are .*mean.*ridge"):
        named("magic")


def test_every_new_row_gets_a_proper_gaussian_in_the_width_of_the_target(name, anchors, new):
    adapter = named(name)
    assert adapter.fit(*anchors) is adapter
    assert_proper(adapter.predict(new), NEW)


@pytest.mark.parametrize(("width", "d_target"), [(3, 8), (1, 1), (5, 5)])
def test_the_widths_of_source_and_target_may_be_any(name, width, d_target):
    if in_one_space(named(name)) and width != d_target:
        pytest.skip("needs source and target in one space")
    source, target = draw(N, width, d_target)
    assert_proper(named(name).fit(source, target).predict(source[:2]), 2, d_target)


def test_nobody_to_predict_for_is_an_empty_prior(name, anchors, d_source):
    prior = named(name).fit(*anchors).predict(np.empty((0, d_source)))
    assert prior.mean.shape == (0, D_TARGET)


def test_the_prior_of_a_row_does_not_depend_on_the_rows_beside_it(name, anchors, new):
    adapter = named(name).fit(*anchors)
    alone = adapter.predict(new[3:4])
    assert_near(adapter.predict(new).take([3]), alone, rtol=1e-12)


def test_fitting_leaves_the_settings_as_they_were(name, anchors):
    adapter = named(name)
    before = adapter.get_params()
    assert adapter.fit(*anchors, context=whole_context()).get_params() == before


def test_a_second_fit_gives_the_same_bits(name, anchors, new):
    twins = [named(name).fit(*anchors, context=whole_context()).predict(new) for _ in range(2)]
    assert_same(*twins)


def test_fitting_again_equals_a_fresh_fit(name, anchors, new):
    others = draw(17, 6 if len(new.T) == D_TARGET else 3, 6, seed=8)
    adapter = named(name).fit(*others)
    assert_same(adapter.fit(*anchors).predict(new), named(name).fit(*anchors).predict(new))


def test_inputs_are_not_changed(name, anchors, new):
    given = (*anchors, np.linspace(0.5, 2, N), new, whole_context(), whole_context(NEW))
    before = copy.deepcopy(given)
    source, target, weight, rows, told, context = given
    named(name).fit(source, target, weight=weight, context=told).predict(rows, context=context)
    for array, kept in zip(given[:4], before[:4], strict=True):
        assert np.array_equal(array, kept)
    for place, field in product((4, 5), fields(AnchorContext)):
        value, kept = (getattr(parts[place], field.name) for parts in (given, before))
        if sp.issparse(value):
            value, kept = value.toarray(), kept.toarray()
        assert np.array_equal(value, kept)


def test_read_only_arrays_single_precision_and_lists_will_do(name, anchors, new):
    expected = named(name).fit(*anchors).predict(new)
    lists = [array.tolist() for array in (*anchors, new)]
    assert_same(named(name).fit(*lists[:2]).predict(lists[2]), expected)
    singles = [array.astype(np.float32) for array in (*anchors, new)]
    for array in singles:
        array.flags.writeable = False
    assert_near(named(name).fit(*singles[:2]).predict(singles[2]), expected, rtol=1e-4)


def test_a_fitted_adapter_survives_copying_and_pickling(name, anchors, new):
    adapter = named(name).fit(*anchors)
    for twin in (copy.deepcopy(adapter), pickle.loads(pickle.dumps(adapter))):
        assert_same(twin.predict(new), adapter.predict(new))


def test_the_order_of_the_anchors_does_not_matter(name, anchors, new):
    order = np.random.default_rng(3).permutation(N)
    shuffled = named(name).fit(*(array[order] for array in anchors))
    assert_near(shuffled.predict(new), named(name).fit(*anchors).predict(new))


class TestWeights:
    def test_weights_of_one_are_none(self, name, anchors, new):
        weighted = named(name).fit(*anchors, weight=np.ones(N))
        assert_near(weighted.predict(new), named(name).fit(*anchors).predict(new))

    def test_weight_two_is_having_an_anchor_twice(self, name, anchors, new):
        weight = np.ones(N)
        weight[4] = 2
        twice = [np.concatenate([array, array[4:5]]) for array in anchors]
        weighted = named(name).fit(*anchors, weight=weight)
        assert_near(weighted.predict(new), named(name).fit(*twice).predict(new))

    def test_weight_zero_is_not_having_an_anchor(self, name, anchors, new):
        weight = np.ones(N)
        weight[:7] = 0
        fewer = [array[7:] for array in anchors]
        weighted = named(name).fit(*anchors, weight=weight)
        assert_near(weighted.predict(new), named(name).fit(*fewer).predict(new))

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (np.ones(N - 1), r"weight must have shape \(40,\), one per anchor, got \(39,\)"),
            (np.ones((N, 1)), r"weight must have shape \(40,\), one per anchor, got \(40, 1\)"),
            (np.full(N, -1.0), "weight must be finite and not negative"),
            (np.full(N, np.nan), "weight must be finite and not negative"),
            (np.zeros(N), "all weights are 0: no anchor is left"),
        ],
    )
    def test_others_are_refused(self, name, anchors, weight, message):
        with pytest.raises(ValueError, match=message):
            named(name).fit(*anchors, weight=weight)


class TestFewAnchors:
    @pytest.mark.parametrize("n", [2, 3])
    @pytest.mark.parametrize("told", [False, True])
    def test_fewer_than_factors_are_enough(self, name, new, d_source, n, told):
        context = whole_context(n) if told else None
        adapter = named(name).fit(*draw(n, d_source), context=context)
        assert_proper(adapter.predict(new), NEW)

    def test_rows_of_zeros_are_taken(self, name, anchors, d_source):
        source, target = (array.copy() for array in anchors)
        source[:3] = 0
        target[2:5] = 0
        assert_proper(named(name).fit(source, target).predict(np.zeros((2, d_source))), 2)

    @pytest.mark.parametrize("n", [0, 1])
    def test_fewer_than_two_are_an_error_or_enough_as_the_adapter_says(self, name, anchors, new, n):
        few = tuple(array[:n] for array in anchors)
        adapter = named(name)
        if getattr(adapter, "needs_anchors", True):
            with pytest.raises(AnchorError, match=f"needs at least 2 anchors, .* it got {n}"):
                adapter.fit(*few, context=whole_context(n))
        else:
            assert_proper(adapter.fit(*few, context=whole_context(n)).predict(new), NEW)

    def test_an_anchor_without_weight_is_none(self, name, anchors):
        if not getattr(named(name), "needs_anchors", True):
            pytest.skip("needs no anchors")
        weight = np.zeros(N)
        weight[3] = 2
        with pytest.raises(AnchorError, match=r"needs at least 2 anchors, .* it got 1"):
            named(name).fit(*anchors, weight=weight)


class TestColumnsThatSayNothing:
    """An adapter that learns from source columns refuses those that would leave its map open."""

    def test_constant_ones(self, name, anchors):
        if not getattr(named(name), "needs_anchors", True):
            pytest.skip("does not read source columns")
        source, target = anchors
        source[:, 2] = 1.5
        message = "1 of 7 source columns are constant over the anchors, the first is column 2"
        with pytest.raises(AnchorError, match=message):
            named(name).fit(source, target)

    def test_anchors_that_are_all_alike(self, name):
        if not getattr(named(name), "needs_anchors", True):
            pytest.skip("does not read source columns")
        source, target = (np.tile(array[:1], (6, 1)) for array in draw())
        with pytest.raises(AnchorError, match="7 of 7 source columns are constant"):
            named(name).fit(source, target)

    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_collinear_ones(self, name, anchors, kind):
        if not getattr(named(name), "needs_anchors", True):
            pytest.skip("does not read source columns")
        source, target = (array.astype(kind) for array in anchors)
        source[:, 6] = source[:, 0] - 2 * source[:, 3]
        with pytest.raises(AnchorError, match="the 7 source columns are collinear"):
            named(name).fit(source, target)


class TestLargeValues:
    """What float32 can hold and its squares cannot."""

    @pytest.mark.parametrize("place", [0, 1])
    def test_squares_that_overflow_are_refused(self, name, anchors, place):
        given = [array.astype(np.float32) for array in anchors]
        given[place] *= np.float32(1e18)
        side = ("source", "target")[place]
        with pytest.raises(ValueError, match=f"{side} holds values up to .* in float32.* divide"):
            named(name).fit(*given)

    def test_the_largest_that_are_taken_give_finite_means(self, name, anchors, new):
        if name == "transport":
            pytest.skip("scales all rows to length 1 first: no size is the largest")
        scale = 1e15 / max(np.abs(array).max() for array in anchors)
        given = [(array * scale).astype(np.float32) for array in anchors]
        prior = named(name).fit(*given).predict((new * scale).astype(np.float32))
        assert np.isfinite(prior.mean).all()


class TestContext:
    def test_an_empty_one_is_none(self, name, anchors, new):
        told = named(name).fit(*anchors, context=AnchorContext())
        assert_same(told.predict(new), named(name).fit(*anchors).predict(new))

    @pytest.mark.parametrize("part", [field.name for field in fields(AnchorContext)])
    def test_every_part_of_it_may_come_alone(self, name, anchors, new, part):
        context = AnchorContext(**{part: getattr(whole_context(), part)})
        adapter = named(name).fit(*anchors, context=context)
        assert_proper(adapter.predict(new, context=AnchorContext()), NEW)


class TestWrongInput:
    def test_unequal_numbers_of_anchors(self, name, anchors):
        message = "source has 40 rows but target has 38: pass the anchors of both in the same order"
        with pytest.raises(ValueError, match=message):
            named(name).fit(anchors[0], anchors[1][:38])

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("place", [0, 1])
    def test_values_that_are_not_finite(self, name, anchors, value, place):
        anchors[place][3, 1] = value
        side = ("source", "target")[place]
        with pytest.raises(ValueError, match=f"{side} holds NaN or inf"):
            named(name).fit(*anchors)

    @pytest.mark.parametrize("place", [0, 1])
    def test_arrays_of_other_dimensions(self, name, anchors, place):
        parts = list(anchors)
        parts[place] = parts[place][:, 0]
        side = ("source", "target")[place]
        with pytest.raises(ValueError, match=rf"{side} must be \(n, d\), got .* shape \(40,\)"):
            named(name).fit(*parts)

    def test_rows_of_another_width_than_the_anchors(self, name, anchors, new):
        adapter = named(name).fit(*anchors)
        d = new.shape[1]
        message = f"source is {d - 1} wide but the adapter was fitted on {d}"
        with pytest.raises(ValueError, match=message):
            adapter.predict(new[:, 1:])

    def test_new_rows_that_are_not_finite(self, name, anchors, new):
        new[2, 2] = np.nan
        with pytest.raises(ValueError, match="source holds NaN or inf"):
            named(name).fit(*anchors).predict(new)

    @pytest.mark.parametrize("size", [1e-200, 1e200])
    def test_values_whose_squares_are_no_numbers(self, name, anchors, size):
        with pytest.raises(ValueError, match=r"whose squares are too (small|large) to add"):
            named(name).fit(anchors[0] * size, anchors[1])

    @pytest.mark.parametrize("part", ["source_rows", "target_rows", "features"])
    @pytest.mark.parametrize("rows", [N - 3, N + 3])
    def test_a_context_of_other_rows(self, name, anchors, part, rows):
        context = AnchorContext(**{part: getattr(whole_context(rows), part)})
        message = rf"context\.{part} must have a row for each of the {N} embeddings, .* got {rows}"
        with pytest.raises(ValueError, match=message):
            named(name).fit(*anchors, context=context)

    @pytest.mark.parametrize("part", ["source_rows", "features"])
    def test_a_context_of_other_rows_than_the_new_ones(self, name, anchors, new, part):
        known = {part: getattr(whole_context(), part)}
        adapter = named(name).fit(*anchors, context=AnchorContext(**known))
        told = AnchorContext(**{part: known[part][:3]})
        with pytest.raises(ValueError, match=rf"context\.{part} must have a row for each of the 9"):
            adapter.predict(new, context=told)

    @pytest.mark.parametrize("part", ["mean", "covariance", "other_factors", "target_covariance"])
    def test_a_context_that_is_not_finite_or_of_another_width(self, name, anchors, part):
        value = np.array(getattr(whole_context(), part))
        narrow = AnchorContext(**{part: value[..., 1:]})
        with pytest.raises(ValueError, match=rf"context\.{part} must be .* 4 wide, got an array"):
            named(name).fit(*anchors, context=narrow)
        value[..., 0] = np.nan
        with pytest.raises(ValueError, match=rf"context\.{part} holds NaN or inf"):
            named(name).fit(*anchors, context=AnchorContext(**{part: value}))

    def test_asking_before_fitting(self, name, new):
        with pytest.raises(ValueError, match=r"is not fitted: call fit\(source, target\) first"):
            named(name).predict(new)


class TestChoices:
    def test_candidates_are_unfitted_adapters_with_every_setting_decided(self, name, anchors, new):
        adapter = named(name)
        if not isinstance(adapter, Tunable):
            pytest.skip("leaves no setting open")
        if name == "auto":
            pytest.skip("its candidates are other adapters, which may leave settings open")
        options = adapter.candidates()
        assert len({json.dumps(option.get_params()) for option in options}) == len(options) > 1
        for option in options:
            with pytest.raises(ValueError, match="is not fitted"):
                option.predict(new)
            assert len(option.candidates()) == 1
            assert_proper(option.fit(*anchors).predict(new), NEW)
