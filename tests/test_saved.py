"""A saved warm start answers bit for bit as it did, or says in one line what is wrong with it."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from coldstart import saved
from coldstart.adapters import (
    AutoAdapter,
    FusedAdapter,
    MeanAdapter,
    RegressorAdapter,
    RidgeAdapter,
)
from coldstart.als import PriorALS
from coldstart.artefact import digest_of, read_artefact, write_artefact
from coldstart.datasets import make_cross_domain
from coldstart.errors import ArtefactError
from coldstart.interactions import Interactions
from coldstart.prior import Prior
from coldstart.strength import Strength
from coldstart.warmstart import WarmStart

KINDS = ["str", "int"]
SIDES = ["users", "items"]


@dataclass(frozen=True)
class Case:
    warm: WarmStart
    logs: tuple[Interactions, Interactions]
    side: str


class OwnAdapter:
    """An adapter that nobody registered."""

    needs_anchors = True

    def fit(self, source, target, *, weight=None, context=None):
        self.mean = target.mean(axis=0)
        return self

    def predict(self, source, *, context=None):
        return Prior(np.tile(self.mean, (len(source), 1)), np.full((len(source), 4), 2.0))


def numbered(log):
    users, items = (np.array([int(key[1:]) for key in ids]) for ids in (log.users, log.items))
    return Interactions.from_csr(log.user_items, users, items)


def make_logs(kind, side="users"):
    world = make_cross_domain(
        130, 45, 38, overlap=0.7, source_interactions=8, target_interactions=6, rng=4
    )
    logs = (world.source, world.target)
    if kind == "int":
        logs = tuple(map(numbered, logs))
    return logs if side == "users" else tuple(log.T for log in logs)


def make_warm(side="users", adapter=None, **settings):
    model = PriorALS(factors=4, regularization=2.0, alpha=5.0, iterations=3, rng=0)
    adapter = adapter or RidgeAdapter()
    return WarmStart(
        model, adapter, **{"side": side, "gate": False, "rng": 0, "num_threads": 1, **settings}
    )


@pytest.fixture(scope="module", params=[(kind, side) for kind in KINDS for side in SIDES], ids=str)
def case(request):
    kind, side = request.param
    logs = make_logs(kind, side)
    return Case(make_warm(side).fit(*logs), logs, side)


@pytest.fixture(scope="module")
def plain():
    logs = make_logs("str")
    return Case(make_warm(strength=2.0).fit(*logs), logs, "users")


def answers(warm):
    """Everything that can be asked: both directions, every kind of id, with history or without."""
    stranger = "x" if warm.ids("users").kind == "str" else 10_000
    found = []
    for ask, ids, others in (
        (warm.recommend, warm.ids("users").ids, warm.ids("items").ids),
        (warm.audience, warm.ids("items").ids, warm.ids("users").ids),
    ):
        history = {key: others[place % 7 : 9 : 2] for place, key in enumerate(ids[::3])}
        asked = [*ids, stranger]
        found += [*ask(ids, 6), *ask(asked, 6, history={**history, stranger: others[:3]})]
        found += [*ask(asked, 6, missing="popular")]
    return found


def assert_same_answers(ours, theirs):
    for one, two in zip(answers(ours), answers(theirs), strict=True):
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)


class TestRoundTrip:
    def test_it_answers_bit_for_bit_as_before(self, case, tmp_path):
        case.warm.save(tmp_path / "model")
        loaded = WarmStart.load(tmp_path / "model")
        assert_same_answers(loaded, case.warm)

    def test_settings_strength_and_report_come_back(self, case, tmp_path):
        case.warm.save(tmp_path)
        loaded = WarmStart.load(str(tmp_path))
        assert loaded.side == case.side
        assert loaded.strength_ == case.warm.strength_
        assert loaded.report_ == case.warm.report_
        assert str(loaded.report_) == str(case.warm.report_)
        assert loaded.model.get_params() == case.warm.model.get_params() | {"num_threads": 1}
        assert loaded.adapter.get_params() == case.warm.adapter_.get_params()

    def test_the_model_comes_back_with_its_priors(self, case, tmp_path):
        case.warm.save(tmp_path)
        ours, theirs = case.warm.model_, WarmStart.load(tmp_path).model_
        matrix = case.logs[1].user_items
        assert np.array_equal(ours.user_factors, theirs.user_factors)
        assert np.array_equal(ours.item_factors, theirs.item_factors)
        again = [
            model.recalculate_user(np.arange(len(matrix.indptr) - 1), matrix)
            for model in (ours, theirs)
        ]
        assert np.array_equal(*again)

    def test_saving_what_was_loaded_writes_the_same_files(self, case, tmp_path):
        case.warm.save(tmp_path / "one")
        WarmStart.load(tmp_path / "one").save(tmp_path / "two")
        one, two = (
            {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
            for name in ("one", "two")
        )
        assert one == two

    def test_nothing_is_pickled(self, case, tmp_path):
        case.warm.save(tmp_path)
        assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}
        for path in tmp_path.glob("*.npy"):
            np.load(path, allow_pickle=False)

    def test_what_was_loaded_can_be_fitted_again_with_the_strength_it_has(self, plain, tmp_path):
        plain.warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        assert loaded.fit(*plain.logs) is loaded
        assert loaded.strength_ == plain.warm.strength_
        assert_same_answers(loaded, plain.warm)

    def test_what_held_out_people_chose_is_not_chosen_again(self, case, tmp_path):
        case.warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path).fit(*case.logs)
        assert loaded.strength_ == case.warm.strength_
        assert loaded.report_.gains == ()

    def test_settings_made_of_numpy_numbers_are_saved(self, tmp_path):
        model = PriorALS(factors=np.int64(4), alpha=np.float32(3), rng=np.int64(7), iterations=2)
        adapter = RidgeAdapter(np.float32(0.5), normalize=True)
        warm = WarmStart(model, adapter, strength=np.float32(2), gate=False).fit(*make_logs("str"))
        warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        assert loaded.model.get_params() == model.get_params()
        assert loaded.adapter.ridge == 0.5

    def test_of_a_generator_nothing_is_kept(self, tmp_path):
        model = PriorALS(factors=4, iterations=2, rng=np.random.default_rng(0))
        WarmStart(model, MeanAdapter(), strength=1.0, gate=False).fit(*make_logs("str")).save(
            tmp_path
        )
        assert WarmStart.load(tmp_path).model.rng is None

    def test_a_strength_by_hand_comes_back(self, tmp_path):
        strength = Strength((0, 2), (0.5, 1.5), (1.0, 7.0), 0.0)
        warm = make_warm(strength=strength).fit(*make_logs("str"))
        warm.save(tmp_path)
        assert WarmStart.load(tmp_path).strength_ == strength


class TestUnregisteredAdapters:
    def test_they_answer_as_before_and_cannot_be_fitted_again(self, tmp_path):
        logs = make_logs("str")
        warm = make_warm(adapter=OwnAdapter(), strength=1.0).fit(*logs)
        warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        assert_same_answers(loaded, warm)
        with pytest.raises(TypeError, match=r"could not be saved: pass one .* warm\.adapter = "):
            loaded.fit(*logs)
        loaded.adapter = OwnAdapter()
        assert_same_answers(loaded.fit(*logs), warm)

    def test_nor_do_those_that_are_registered_where_it_was_saved_only(self, plain, tmp_path):
        plain.warm.save(tmp_path)
        arrays, content = read_artefact(tmp_path)
        content["adapter"]["name"] = "elsewhere"
        write_artefact(tmp_path, arrays, content)
        assert WarmStart.load(tmp_path).adapter == saved.Unregistered()

    @pytest.mark.parametrize(
        "adapter", [RidgeAdapter(0.3, normalize=True), MeanAdapter(), AutoAdapter(), FusedAdapter()]
    )
    def test_registered_ones_come_back_from_name_and_settings(self, adapter):
        values = json.loads(json.dumps(saved.adapter_to_json(adapter)))
        twin = saved.adapter_from(values)
        assert type(twin) is type(adapter)
        assert twin.get_params() == adapter.get_params()

    def test_means_of_registered_ones_come_back_with_their_parts(self):
        parts = [RidgeAdapter(0.3, normalize=True), FusedAdapter([MeanAdapter(), RidgeAdapter()])]
        values = json.loads(json.dumps(saved.adapter_to_json(FusedAdapter(parts))))
        twin = saved.adapter_from(values)
        assert saved.adapter_to_json(twin) == values
        assert [type(part) for part in twin.adapters] == [RidgeAdapter, FusedAdapter]
        assert twin.adapters[0].get_params() == parts[0].get_params()
        assert type(twin.adapters[1].adapters[0]) is MeanAdapter

    def test_a_mean_with_an_unregistered_part_is_unregistered_too(self):
        mean = FusedAdapter([RidgeAdapter(), OwnAdapter()])
        assert saved.adapter_to_json(mean) is None
        values = saved.adapter_to_json(FusedAdapter([RidgeAdapter(), MeanAdapter()]))
        values["settings"]["adapters"][1]["name"] = "elsewhere"
        assert saved.adapter_from(values) == saved.Unregistered()

    def test_one_with_a_setting_that_json_cannot_hold_is_unregistered_too(self, tmp_path):
        adapter = RegressorAdapter(LinearRegression())
        assert saved.adapter_to_json(adapter) is None
        assert saved.adapter_to_json(RegressorAdapter()) is not None
        warm = make_warm(adapter=adapter, strength=1.0).fit(*make_logs("str"))
        warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        assert loaded.adapter == saved.Unregistered()
        assert_same_answers(loaded, warm)

    def test_a_subclass_is_not_taken_for_its_parent(self):
        class Own(RidgeAdapter):
            pass

        assert saved.adapter_to_json(Own()) is None


class TestDamage:
    def fail(self, folder):
        """The one line that says why a model cannot be loaded."""
        with pytest.raises(ArtefactError) as error:
            WarmStart.load(folder)
        message = str(error.value)
        assert "\n" not in message
        return message

    @pytest.mark.parametrize("name", ["manifest.json", "mapped_factors-*.npy", "prior_mean-*.npy"])
    def test_a_file_cut_short_is_told(self, plain, tmp_path, name):
        plain.warm.save(tmp_path)
        [path] = tmp_path.glob(name)
        path.write_bytes(path.read_bytes()[:-40])
        assert "damaged" in self.fail(tmp_path)

    def test_a_missing_file_is_told(self, plain, tmp_path):
        plain.warm.save(tmp_path)
        next(tmp_path.glob("other_ids-*.npy")).unlink()
        assert "cannot read" in self.fail(tmp_path)

    def test_a_newer_format_is_told(self, plain, tmp_path):
        plain.warm.save(tmp_path)
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
        assert "upgrade coldstart" in self.fail(tmp_path)

    def test_a_model_of_the_first_release_is_told_from_a_damaged_one(self, plain, tmp_path):
        """Its manifest had neither gate nor fallback."""
        plain.warm.save(tmp_path)
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        for part in ("gate", "open", "fallback", "unknown"):
            del manifest["content"][part]
        manifest |= {"version": 1}
        manifest["digest"] = digest_of(manifest)
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        message = self.fail(tmp_path)
        assert "damaged" not in message
        assert message.endswith("fit the model and save it again")

    @pytest.mark.parametrize(
        "part",
        [
            *("shape", "strength", "open", "fallback", "unknown"),
            *("side", "gate", "adapter", "report"),
        ],
    )
    def test_a_manifest_without_a_part_is_told(self, plain, tmp_path, part):
        plain.warm.save(tmp_path)
        arrays, content = read_artefact(tmp_path)
        del content[part]
        write_artefact(tmp_path, arrays, content)
        assert f"damaged (KeyError: '{part}')" in self.fail(tmp_path)

    @pytest.mark.parametrize(
        "part", ["target", "strength", "open", "fallback", "unknown", "report", "adapter"]
    )
    @pytest.mark.parametrize("value", [{"name": "ridge"}, [], "text", 4])
    def test_a_part_that_is_something_else_is_told(self, plain, tmp_path, part, value):
        plain.warm.save(tmp_path)
        arrays, content = read_artefact(tmp_path)
        write_artefact(tmp_path, arrays, {**content, part: value})
        assert "the saved model is damaged (" in self.fail(tmp_path)

    @pytest.mark.parametrize(
        "name",
        [
            *("mapped_ids", "other_ids", "mapped_factors", "other_factors", "mapped"),
            *("prior_mean", "prior_precision", "nulls_mean", "nulls_shared"),
            *("extra_rows", "extra_columns", "seen_indptr", "seen_indices", "seen_data"),
        ],
    )
    @pytest.mark.parametrize("missing", [True, False])
    def test_arrays_that_are_missing_or_not_of_one_model_are_told(
        self, plain, tmp_path, name, missing
    ):
        plain.warm.save(tmp_path)
        arrays, content = read_artefact(tmp_path)
        if missing:
            del arrays[name]
        else:
            arrays[name] = arrays[name][:-1]
        write_artefact(tmp_path, arrays, content)
        assert "the saved model is damaged (" in self.fail(tmp_path)

    def test_columns_that_are_out_of_range_are_told(self, plain, tmp_path):
        plain.warm.save(tmp_path)
        arrays, content = read_artefact(tmp_path)
        write_artefact(tmp_path, {**arrays, "seen_indices": arrays["seen_indices"] + 30}, content)
        assert "the saved model is damaged (" in self.fail(tmp_path)

    def test_factors_that_are_not_finite_are_told(self, plain, tmp_path):
        plain.warm.save(tmp_path)
        arrays, content = read_artefact(tmp_path)
        factors = np.full_like(arrays["mapped_factors"], np.nan)
        write_artefact(tmp_path, {**arrays, "mapped_factors": factors}, content)
        assert "factors hold NaN or inf" in self.fail(tmp_path)
