"""A saved model comes back bit for bit, or with one clear line; a killed save loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from coldstart import artefact
from coldstart.artefact import (
    FORMAT,
    READABLE,
    VERSION,
    digest_of,
    read_artefact,
    write_artefact,
)
from coldstart.errors import ArtefactError, DataError

Arrays = dict[str, np.ndarray]
CONTENT = {"side": "users", "strength": {"kappa": 20.0, "centre": None}, "shots": [0, 1, 5]}
KINDS = st.one_of(
    st_numpy.boolean_dtypes(),
    st_numpy.integer_dtypes(endianness="?"),
    st_numpy.unsigned_integer_dtypes(endianness="?"),
    st_numpy.floating_dtypes(endianness="?"),
    st_numpy.complex_number_dtypes(endianness="?"),
)
SHAPES = st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=20)
slowly = settings(deadline=None, max_examples=60)


def model(shift: int = 0) -> Arrays:
    """Two ids columns and two blocks of factors; of all arrays only `items` is not shifted."""
    return {
        "user_factors": np.arange(15, dtype=np.float32).reshape(5, 3) + shift,
        "item_factors": np.arange(21, dtype=np.float32).reshape(7, 3) - shift,
        "users": np.array([f"u{row + shift}" for row in range(5)], dtype=object),
        "items": np.arange(7) * 10,
    }


def assert_same(read: Arrays, written: Arrays) -> None:
    """The same values to the bit, NaN too, under the same names; the bytes little-endian."""
    assert list(read) == list(written)
    for name, array in written.items():
        stored = array.astype(array.dtype.newbyteorder("<"))
        assert (read[name].dtype, read[name].shape) == (stored.dtype, stored.shape)
        if stored.dtype == object:
            assert read[name].tolist() == stored.tolist()
        else:
            assert read[name].tobytes() == stored.tobytes()


def holds(folder: Path, arrays: Arrays) -> bool:
    """Whether the folder reads without an error, and as these arrays."""
    read, content = read_artefact(folder)
    assert content == CONTENT
    return all(np.array_equal(read[name], array) for name, array in arrays.items())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def file_of(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"{name}-*.npy")
    return path


def message_of(action: Callable[[], object]) -> str:
    """The message of the ArtefactError that the action must raise, one line that ends in advice."""
    with pytest.raises(ArtefactError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert ": " in message
    return message


def age(folder: Path, version: int, **damaged: Any) -> None:
    """Make the manifest one of that version; what is `damaged` is not what was signed."""
    path = folder / "manifest.json"
    whole = {**json.loads(path.read_text()), "version": version}
    whole["digest"] = digest_of(whole)
    path.write_text(json.dumps(whole | damaged))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_artefact(tmp_path / "model", model(), CONTENT)
    return tmp_path / "model"


class TestRoundTrip:
    def test_arrays_ids_and_plain_values_come_back_in_order(self, folder: Path) -> None:
        arrays, content = read_artefact(str(folder))
        assert_same(arrays, model())
        assert content == CONTENT

    def test_arrays_come_back_read_only(self, folder: Path) -> None:
        assert not any(array.flags.writeable for array in read_artefact(folder)[0].values())

    def test_arrays_that_are_none_are_left_out(self, tmp_path: Path) -> None:
        write_artefact(tmp_path, {"user_biases": None, "items": np.arange(3)}, {})
        assert list(read_artefact(tmp_path)[0]) == ["items"]

    @slowly
    @given(values=st_numpy.arrays(KINDS, SHAPES), transposed=st.booleans())
    def test_numbers_of_any_type_shape_and_layout_come_back(
        self, tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, transposed: bool
    ) -> None:
        folder = tmp_path_factory.mktemp("numbers")
        values = values.T if transposed else values
        arrays = {"values": values, "every_other": values[..., ::2] if values.ndim else values}
        write_artefact(folder, arrays, {})
        assert_same(read_artefact(folder)[0], arrays)

    @slowly
    @given(ids=IDS)
    def test_strings_come_back_as_objects_with_trailing_nuls_too(
        self, tmp_path_factory: pytest.TempPathFactory, ids: list[str]
    ) -> None:
        folder = tmp_path_factory.mktemp("ids")
        write_artefact(folder, {"ids": np.array(ids, dtype=object)}, {})
        read = read_artefact(folder)[0]["ids"]
        assert read.dtype == object
        assert read.tolist() == ids
        assert all(type(value) is str for value in read)

    def test_text_arrays_of_numpy_come_back_as_objects(self, tmp_path: Path) -> None:
        write_artefact(tmp_path, {"ids": np.array(["b", "äöü"])}, {})
        assert read_artefact(tmp_path)[0]["ids"].tolist() == ["b", "äöü"]

    @slowly
    @given(name=st.text(max_size=300))
    def test_an_array_may_have_any_name(
        self, tmp_path_factory: pytest.TempPathFactory, name: str
    ) -> None:
        folder = tmp_path_factory.mktemp("names")
        write_artefact(folder, {name: np.arange(3), "items": np.arange(3)}, {})
        assert list(read_artefact(folder)[0]) == list(dict.fromkeys([name, "items"]))

    def test_names_that_differ_in_case_alone_may_share_a_file(self, tmp_path: Path) -> None:
        write_artefact(tmp_path, {"W": np.arange(3), "w": np.arange(3)}, {})
        assert list(read_artefact(tmp_path)[0]) == ["W", "w"]
        assert len(names(tmp_path)) == 2


class TestFiles:
    def test_numpy_alone_reads_every_array(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        assert (manifest["format"], manifest["version"]) == (FORMAT, VERSION)
        assert manifest["libraries"]["numpy"] == np.__version__
        entry = manifest["arrays"]["user_factors"]
        assert (entry["dtype"], entry["shape"]) == ("<f4", [5, 3])
        loaded = np.load(folder / entry["file"], allow_pickle=False)
        assert np.array_equal(loaded, model()["user_factors"])

    def test_strings_are_offsets_and_utf_8_as_documented(self, folder: Path) -> None:
        entry = json.loads((folder / "manifest.json").read_text())["arrays"]["users"]
        raw, n = np.load(folder / entry["file"], allow_pickle=False), entry["shape"][0]
        offsets, text = raw[: 8 * n + 8].view("<i8"), raw[8 * n + 8 :]
        strings = [text[offsets[i] : offsets[i + 1]].tobytes().decode() for i in range(n)]
        assert strings == model()["users"].tolist()

    def test_a_file_carries_the_name_of_its_array_and_its_hash(self, folder: Path) -> None:
        entry = json.loads((folder / "manifest.json").read_text())["arrays"]["user_factors"]
        assert entry["file"] == f"user_factors-{entry['sha256'][:16]}.npy"

    def test_equal_content_has_equal_file_names_whatever_its_layout(self, tmp_path: Path) -> None:
        factors = model()["user_factors"]
        layouts = [factors, np.asfortranarray(factors), factors.astype(">f4")]
        for number, layout in enumerate(layouts):
            write_artefact(tmp_path / str(number), {"factors": layout}, {})
        assert names(tmp_path / "0") == names(tmp_path / "1") == names(tmp_path / "2")

    def test_files_are_as_readable_as_others_of_this_person(self, folder: Path) -> None:
        (folder / "other").touch()
        expected = (folder / "other").stat().st_mode
        assert {path.stat().st_mode for path in folder.iterdir()} == {expected}


class TestSavingOver:
    def test_only_what_the_new_model_names_is_left(self, folder: Path) -> None:
        write_artefact(folder, {"items": model()["items"]}, CONTENT)
        assert len(names(folder)) == 2
        assert holds(folder, {"items": model()["items"]})

    def test_an_array_that_did_not_change_is_not_written_again(self, folder: Path) -> None:
        before = file_of(folder, "items").stat()
        changed = file_of(folder, "users").name
        write_artefact(folder, model(shift=1), CONTENT)
        after = file_of(folder, "items").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert file_of(folder, "users").name != changed

    def test_who_reads_meanwhile_gets_the_old_model_or_the_new(self, folder: Path) -> None:
        models = [model(shift=shift) for shift in (0, 1)]
        done, found = threading.Event(), []

        def save(turn: int) -> None:
            while not done.is_set():
                write_artefact(folder, models[turn], CONTENT)

        savers = [threading.Thread(target=save, args=(turn,)) for turn in (0, 1)]
        for saver in savers:
            saver.start()
        try:
            for _ in range(100):
                read, _ = read_artefact(folder)
                found.append(
                    [all(np.array_equal(read[k], a) for k, a in one.items()) for one in models]
                )
        finally:
            done.set()
            for saver in savers:
                saver.join()
        assert {sum(either) for either in found} == {1}

    def test_a_damaged_array_is_replaced(self, folder: Path) -> None:
        file_of(folder, "items").write_bytes(b"damaged")
        write_artefact(folder, model(), CONTENT)
        assert holds(folder, model())

    def test_files_of_others_stay(self, folder: Path) -> None:
        others = {"notes.txt", "items.npy", "users-0123456789abcdef.npy"}
        for name in others:
            (folder / name).write_text("mine")
        write_artefact(folder, model(shift=1), CONTENT)
        assert {(folder / name).read_text() for name in others} == {"mine"}
        assert holds(folder, model(shift=1))

    def test_arrays_that_a_killed_save_left_go_with_the_next(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        finish = artefact._finish

        def killed(folder: Path, files: list[str]) -> None:
            if files == ["manifest.json"]:
                raise KeyboardInterrupt
            finish(folder, files)

        monkeypatch.setattr(artefact, "_finish", killed)
        with pytest.raises(KeyboardInterrupt):
            write_artefact(folder, model(shift=5), CONTENT)
        monkeypatch.undo()
        write_artefact(folder, model(shift=1), CONTENT)
        named = json.loads((folder / "manifest.json").read_text())["arrays"].values()
        assert {path.name for path in folder.glob("*.npy")} == {entry["file"] for entry in named}

    def test_a_folder_with_files_of_others_and_no_manifest_is_fine(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        write_artefact(tmp_path, model(), CONTENT)
        assert holds(tmp_path, model())
        assert (tmp_path / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize(
        "manifest", ["{", "[1]", '{"name": "an app"}', '{"format": "coldstart", "version": 99}']
    )
    def test_a_manifest_that_is_not_ours_to_replace_stays(
        self, tmp_path: Path, manifest: str
    ) -> None:
        (tmp_path / "manifest.json").write_text(manifest)
        message = message_of(lambda: write_artefact(tmp_path, model(), CONTENT))
        assert "cannot save over" in message
        assert message.endswith("choose another folder")
        assert names(tmp_path) == {"manifest.json"}
        assert (tmp_path / "manifest.json").read_text() == manifest


class Killed(BaseException):
    """Not an error that anything could handle."""


ARRAYS = [*["fsync"] * 3, *["replace"] * 3, "fsync"]  # the three that a shift changes
STEPS = [*ARRAYS, "fsync", "replace", "fsync", *["unlink"] * 3]  # then the manifest, the old files


def kill_at(step: int, patch: pytest.MonkeyPatch, error: type[BaseException] = Killed) -> list[str]:
    """Raise in place of the given call of those below and of all later ones; list the calls."""
    calls: list[str] = []

    def killing(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: Any, **kwargs: Any) -> object:
            calls.append(name)
            if len(calls) > step:
                raise error(f"{name}, call {len(calls)}")
            return original(*args, **kwargs)

        return call

    for owner, name in ((os, "fsync"), (os, "replace"), (Path, "unlink")):
        patch.setattr(owner, name, killing(name, getattr(owner, name)))
    return calls


class TestInterrupted:
    @pytest.mark.parametrize("step", range(len(STEPS)))
    def test_a_save_stopped_at_any_step_leaves_one_whole_model(
        self, folder: Path, step: int
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            calls = kill_at(step, patch)
            with pytest.raises(Killed):
                write_artefact(folder, model(shift=1), CONTENT)
        assert calls[: step + 1] == STEPS[: step + 1]
        replaced = STEPS[:step].count("replace") == 4
        assert holds(folder, model(shift=1) if replaced else model())
        write_artefact(folder, model(shift=2), CONTENT)
        assert holds(folder, model(shift=2))
        assert not list(folder.glob("*unfinished*"))

    def test_these_are_all_the_steps(self, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            calls = kill_at(99, patch)
            write_artefact(folder, model(shift=1), CONTENT)
        assert calls == STEPS

    @pytest.mark.parametrize("step", range(10))
    def test_an_error_of_the_disk_is_one_line_and_leaves_nothing_unfinished(
        self, folder: Path, step: int
    ) -> None:
        unlink = Path.unlink
        with pytest.MonkeyPatch.context() as patch:
            kill_at(step, patch, error=OSError)
            patch.setattr(Path, "unlink", unlink)
            message = message_of(lambda: write_artefact(folder, model(shift=1), CONTENT))
        assert "cannot save the model in" in message
        assert not list(folder.glob("*unfinished*"))
        assert holds(folder, model(shift=1) if step == 9 else model())

    def test_old_files_that_cannot_be_removed_do_no_harm(self, folder: Path) -> None:
        def refuse(path: Path, **_: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            write_artefact(folder, model(shift=1), CONTENT)
        assert holds(folder, model(shift=1))

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
    @pytest.mark.parametrize(
        ("moment", "replaced"),
        [
            ("fsync 1", False),  # the first array is not finished
            ("replace 1", False),  # all arrays are, none has its name
            ("replace 3", False),
            ("replace 4", False),  # all but the manifest
            ("unlink 1", True),  # the manifest is there, and so are the old files
            ("unlink 3", True),
        ],
    )
    def test_a_save_killed_by_the_system_leaves_one_whole_model(
        self, folder: Path, tmp_path: Path, moment: str, replaced: bool
    ) -> None:
        new = tmp_path / "new"
        write_artefact(new, model(shift=1), CONTENT)
        code = """
            import os, signal, sys
            from pathlib import Path
            from coldstart.artefact import read_artefact, write_artefact
            name, number = sys.argv[3].split()
            owner, calls = (Path if name == "unlink" else os), []
            original = getattr(owner, name)
            def call(*args, **kwargs):
                calls.append(name)
                if len(calls) == int(number):
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*args, **kwargs)
            arrays, content = read_artefact(sys.argv[1])
            setattr(owner, name, call)
            write_artefact(sys.argv[2], arrays, content)
        """
        command = [sys.executable, "-c", textwrap.dedent(code), str(new), str(folder), moment]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert holds(folder, model(shift=1) if replaced else model())
        write_artefact(folder, model(shift=2), CONTENT)
        assert holds(folder, model(shift=2))
        assert not list(folder.glob("*unfinished*"))


class TestRefusedWrites:
    @pytest.mark.parametrize("inside", ["", "model"])
    def test_a_file_in_the_way_is_an_error_and_stays(self, tmp_path: Path, inside: str) -> None:
        (tmp_path / "file").write_text("mine")
        path = tmp_path / "file" / inside
        message = message_of(lambda: write_artefact(path, model(), CONTENT))
        assert "choose a folder that can be written" in message
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")
    def test_a_folder_that_cannot_be_written_is_an_error(self) -> None:
        message = message_of(lambda: write_artefact("/proc/self/model", model(), CONTENT))
        assert message.startswith("cannot save the model in /proc/self/model (No such file")

    def test_a_folder_in_the_way_of_an_array_is_an_error(self, folder: Path) -> None:
        path = file_of(folder, "items")
        shutil.rmtree(folder)
        path.mkdir(parents=True)
        assert "a directory" in message_of(lambda: write_artefact(folder, model(), CONTENT))
        assert not list(folder.glob("*unfinished*"))

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.array(["ann", "b\udc80b"], dtype=object), r"ids holds 'b\\udc80b', which is not"),
            (np.array(["ann", 5], dtype=object), "ids must hold strings or numbers alone .*'int'"),
            (np.array(["ann", None], dtype=object), "ids must hold strings or numbers alone"),
            (np.array([["ann"]], dtype=object), r"ids must be strings \(n,\) .* shape \(1, 1\)"),
            (np.array({}, dtype=object), r"ids must be strings \(n,\) or numbers, got shape \(\)"),
            (np.array(["2024-01-01"], dtype="M8[D]"), r"ids must hold .* dtype datetime64\[D\]"),
        ],
    )
    def test_what_cannot_be_stored_is_refused_before_anything_is_written(
        self, tmp_path: Path, array: np.ndarray, message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            write_artefact(tmp_path / "model", {**model(), "ids": array}, CONTENT)
        assert not (tmp_path / "model").exists()

    def test_content_that_is_not_plain_is_refused_before_anything_is_written(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(TypeError, match="ndarray is not JSON serializable"):
            write_artefact(tmp_path / "model", model(), {"factors": np.ones(3)})
        assert not (tmp_path / "model").exists()


def without(key: str) -> Callable[[Any], Any]:
    return lambda whole: {name: value for name, value in whole.items() if name != key}


def with_items(**changes: Any) -> Callable[[Any], Any]:
    """A manifest whose entry of the array `items` has other fields."""
    return lambda whole: {
        **whole,
        "arrays": {**whole["arrays"], "items": {**whole["arrays"]["items"], **changes}},
    }


def signed(whole: Any) -> str:
    """A manifest as a save writes it: what is wrong with it is not that it was changed later."""
    return json.dumps({**whole, "digest": digest_of(whole)})


class TestDamage:
    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        message = message_of(lambda: read_artefact(tmp_path / "model"))
        assert message.startswith(f"{tmp_path / 'model'} holds no model, there is no such folder")

    def test_a_folder_without_manifest_holds_no_model(self, tmp_path: Path) -> None:
        message = message_of(lambda: read_artefact(tmp_path))
        assert message.startswith(f"{tmp_path} holds no model, it has no manifest.json")

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "model").touch()
        assert "holds no model" in message_of(lambda: read_artefact(tmp_path / "model"))

    def test_a_newer_version_says_to_upgrade(self, folder: Path) -> None:
        newer = {"format": FORMAT, "version": VERSION + 1, "tensors": []}
        (folder / "manifest.json").write_text(json.dumps(newer))
        message = message_of(lambda: read_artefact(folder))
        assert f"written by a newer coldstart, in version {VERSION + 1} of the format" in message
        assert message.endswith(f"this one reads {READABLE} to {VERSION}: upgrade coldstart")

    @pytest.mark.parametrize("version", range(1, READABLE))
    def test_an_older_version_says_to_fit_and_save_again(self, folder: Path, version: int) -> None:
        age(folder, version)
        message = message_of(lambda: read_artefact(folder))
        assert message.startswith(f"{folder / 'manifest.json'} was written by an older coldstart")
        assert message.endswith(
            f"in version {version} of the format where this one reads {READABLE} to {VERSION}: "
            "fit the model and save it again"
        )

    def test_an_older_version_is_saved_over_and_nothing_of_it_left(self, folder: Path) -> None:
        age(folder, 1)
        write_artefact(folder, {"items": np.arange(3)}, {})
        assert read_artefact(folder)[0]["items"].tolist() == [0, 1, 2]
        assert len(list(folder.glob("*.npy"))) == 1

    def test_an_older_version_that_is_damaged_is_not_saved_over(self, folder: Path) -> None:
        age(folder, 1, content={"other": 1})
        message = message_of(lambda: write_artefact(folder, {"items": np.arange(3)}, {}))
        assert "cannot save over" in message

    @pytest.mark.parametrize(
        "manifest", [b"[1]", b"null", b'{"format": "onnx"}', b'{"version": 1}', b'"coldstart"']
    )
    def test_another_format_is_told_apart(self, folder: Path, manifest: bytes) -> None:
        (folder / "manifest.json").write_bytes(manifest)
        assert "not of a model that coldstart saved" in message_of(lambda: read_artefact(folder))

    @pytest.mark.parametrize(
        "manifest", [b"", b"{", b'{"format": "cold', b"\xff\xfe", b"\0" * 9, b"[" * 200_000]
    )
    def test_a_manifest_that_is_not_json_is_damaged(self, folder: Path, manifest: bytes) -> None:
        (folder / "manifest.json").write_bytes(manifest)
        assert "manifest.json is damaged (" in message_of(lambda: read_artefact(folder))

    @pytest.mark.parametrize(
        "change",
        [
            without("version"),
            without("content"),
            without("arrays"),
            lambda whole: {**whole, "version": None},
            lambda whole: {**whole, "version": float("inf")},
            lambda whole: {**whole, "content": 5},
            lambda whole: {**whole, "arrays": []},
            lambda whole: {**whole, "arrays": {"items": {}}},
            lambda whole: {**whole, "arrays": {"items": "items.npy"}},
            with_items(file=None),
            with_items(shape=None),
            with_items(shape=["x"]),
            with_items(shape=[float("inf")]),
            with_items(strides=[8]),
        ],
    )
    def test_a_manifest_that_is_not_whole_is_damaged(
        self, folder: Path, change: Callable[[Any], Any]
    ) -> None:
        path = folder / "manifest.json"
        path.write_text(signed(change(json.loads(path.read_text()))))
        assert "manifest.json is damaged (" in message_of(lambda: read_artefact(folder))

    def test_content_that_was_changed_by_hand_is_damaged(self, folder: Path) -> None:
        path = folder / "manifest.json"
        changed = {**json.loads(path.read_text()), "content": {"side": "elsewhere"}}
        path.write_text(json.dumps(changed))
        message = message_of(lambda: read_artefact(folder))
        assert "manifest.json is damaged (its content is not what was saved)" in message

    @pytest.mark.parametrize(
        "name", ["../items-{}.npy", "/tmp/items-{}.npy", "..\\items-{}.npy", "a/../items-{}.npy"]
    )
    def test_a_file_outside_the_folder_is_never_read(self, folder: Path, name: str) -> None:
        path = folder / "manifest.json"
        whole = json.loads(path.read_text())
        stolen = name.format(whole["arrays"]["items"]["sha256"][:16])
        path.write_text(signed(with_items(file=stolen)(whole)))
        message = message_of(lambda: read_artefact(folder))
        assert f"it names {stolen!r}, which no save writes" in message

    @pytest.mark.parametrize("name", list(model()))
    def test_a_missing_array_is_named(self, folder: Path, name: str) -> None:
        path = file_of(folder, name)
        path.unlink()
        message = message_of(lambda: read_artefact(folder))
        assert message.startswith(f"cannot read {path} (No such file or directory)")

    @pytest.mark.parametrize("name", list(model()))
    @pytest.mark.parametrize(
        "damage", [lambda old: old[:-1], lambda old: old[:-1] + b"?", lambda old: old[:0]]
    )
    def test_a_truncated_or_changed_array_is_named(
        self, folder: Path, name: str, damage: Callable[[bytes], bytes]
    ) -> None:
        path = file_of(folder, name)
        path.write_bytes(damage(path.read_bytes()))
        message = message_of(lambda: read_artefact(folder))
        assert message.startswith(f"{path} is damaged (its sha256 is not that of the manifest)")

    @pytest.mark.parametrize(
        "changes",
        [
            {"dtype": "<f8"},
            {"shape": [6]},
            {"shape": [7, 1]},
            {"shape": []},
            *({"dtype": "str", "shape": shape} for shape in ([], [-1], [0], [7], [7, 1], [10**9])),
        ],
    )
    def test_an_array_of_another_type_or_shape_than_the_manifest_says_is_damaged(
        self, folder: Path, changes: dict[str, Any]
    ) -> None:
        path = folder / "manifest.json"
        path.write_text(signed(with_items(**changes)(json.loads(path.read_text()))))
        message = message_of(lambda: read_artefact(folder))
        assert message.startswith(f"{file_of(folder, 'items')} is damaged (")

    @pytest.mark.parametrize(
        ("offsets", "text"),
        [([0, 1, 3], b"ab"), ([0, 2, 1], b"a"), ([-1, 1, 2], b"ab"), ([0, 1, 2], b"\xc3\xa4")],
    )
    def test_strings_whose_offsets_do_not_fit_are_damaged(
        self, tmp_path: Path, offsets: list[int], text: bytes
    ) -> None:
        raw = np.frombuffer(np.array(offsets, "<i8").tobytes() + text, np.uint8)
        write_artefact(tmp_path, {"items": raw}, {})
        path = tmp_path / "manifest.json"
        changed = with_items(dtype="str", shape=[2])(json.loads(path.read_text()))
        path.write_text(signed(changed))
        assert "is damaged (" in message_of(lambda: read_artefact(tmp_path))

    def test_a_pickle_is_never_opened(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = file_of(folder, "items")
        np.save(path, np.array([print], dtype=object), allow_pickle=True)
        monkeypatch.setattr(artefact, "_sha256", lambda path: path.stem.rpartition("-")[2])
        manifest = folder / "manifest.json"
        forged = with_items(sha256=path.stem.rpartition("-")[2])(json.loads(manifest.read_text()))
        only = {"items": forged["arrays"]["items"]}
        manifest.write_text(signed({**forged, "arrays": only}))
        assert "it holds object (1,)" in message_of(lambda: read_artefact(folder))
