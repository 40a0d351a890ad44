"""A saved model of every version of the format, and models that somebody changed on the disk."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from coldstart import WarmStart
from coldstart.artefact import READABLE, VERSION, verify_artefact
from coldstart.errors import ArtefactError

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
GRADIENTS = 4  # the first version that holds models trained by gradients
READ = sorted(
    path.stem for path in GOLDEN.glob("v*.json") if int(path.stem[1:].split("-")[0]) >= READABLE
)


def script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def make():
    return script(GOLDEN / "make.py")


@pytest.fixture(scope="module")
def attacks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE.parent / "benchmarks"))
        yield script(HERE.parent / "benchmarks" / "artefacts.py")


def test_there_is_one_of_every_version_and_of_every_model_that_it_can_hold(make):
    versions = range(1, VERSION + 1)
    assert {path.name for path in GOLDEN.glob("v*") if path.is_dir()} == {
        *(f"v{version}" for version in versions),
        *(f"v{version}{model}" for version in versions[GRADIENTS - 1 :] for model in make.MODELS),
    }


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("mmap", [False, True])
def test_versions_that_are_read_answer_as_they_did(make, name, mmap):
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    found = make.answers(WarmStart.load(GOLDEN / name, mmap=mmap))
    assert found["ids"] == expected["ids"]
    assert found["told"] == expected["told"]
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=2e-4)


@pytest.mark.parametrize("version", range(1, READABLE))
def test_older_ones_say_what_to_do_in_one_line(version):
    with pytest.raises(ArtefactError) as error:
        WarmStart.load(GOLDEN / f"v{version}")
    assert f"in version {version} of the format" in str(error.value)
    assert str(error.value).endswith("fit the model and save it again")
    assert "\n" not in str(error.value)


def test_one_of_an_older_version_is_saved_in_the_present_one(make, tmp_path):
    old = WarmStart.load(GOLDEN / f"v{READABLE}")
    old.save(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())["version"] == VERSION
    assert make.answers(WarmStart.load(tmp_path)) == make.answers(old)


class TestMapped:
    @pytest.fixture
    def folder(self, make, tmp_path):
        make.made().save(tmp_path / "model")
        return tmp_path / "model"

    def test_factors_priors_and_interactions_lie_in_their_files(self, folder):
        fitted = WarmStart.load(folder, mmap=True)._fitted
        for array in (
            *(fitted.trained.rows, fitted.trained.columns),
            *(fitted.belief.prior.mean, fitted.matrix.data, fitted.matrix.indices),
        ):
            while not isinstance(array, np.memmap):
                assert array.base is not None
                array = array.base

    def test_headers_and_sizes_are_checked_and_the_rest_is_left_to_verify(self, folder):
        path = next(folder.glob("other_factors-*.npy"))
        whole = path.read_bytes()
        path.write_bytes(whole[:-4] + b"\x00\x00\x80\x3f")  # another last value
        WarmStart.load(folder, mmap=True)
        for check in (WarmStart.verify, verify_artefact, WarmStart.load):
            with pytest.raises(ArtefactError, match="its sha256 is not that of the manifest"):
                check(folder)
        path.write_bytes(whole + b"\0")
        with pytest.raises(ArtefactError, match="bytes for an array of float32"):
            WarmStart.load(folder, mmap=True)
        path.write_bytes(whole)
        assert WarmStart.verify(folder) is None

    def test_what_was_mapped_can_be_updated_and_saved_over_itself(self, folder, make):
        from coldstart.interactions import Interactions

        warm = WarmStart.load(folder, mmap=True)
        user, item = next(iter(warm.ids("users"))), list(warm.ids("items"))[-1]
        warm.update(Interactions.from_csr([[1.0]], [user], [item])).save(folder)
        assert make.answers(WarmStart.load(folder)) == make.answers(warm)


def test_where_a_model_comes_from_is_kept(make, tmp_path):
    warm = make.made()
    warm.save(tmp_path)
    told = WarmStart.load(tmp_path).provenance_
    assert told == warm.provenance_
    assert told["source"]["kind"] == told["target"]["kind"] == "interactions"
    assert told["target"]["users"] < told["source"]["users"] + 1
    assert len(told["source"]["sha256"]) == 64
    again = make.made().provenance_
    assert again["source"] == told["source"]
    assert again["target"] == told["target"]
    assert told["source"]["sha256"] != told["target"]["sha256"]
    libraries = json.loads((tmp_path / "manifest.json").read_text())["libraries"]
    assert {"python", "coldstart", "numpy", "implicit"} <= set(libraries)


def test_killed_saves_leave_one_of_the_models(attacks):
    assert sum(attacks.kill_saves(15).values()) == 15


@pytest.mark.skipif(sys.platform != "linux", reason="devices and limits of Linux")
def test_changed_models_are_refused_or_answer_as_before(attacks):
    found = attacks.mutate(48, bounded=False)
    assert sum(sum(counts.values()) for counts in found.values()) == 48
    attacks.mutate(24, attacks.FORGERIES, bounded=False)


def test_the_folder_is_hardly_larger_than_its_arrays(attacks):
    assert attacks.sizes(1000)["usual over arrays"] <= 1.1
