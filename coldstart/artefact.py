"""The folder of a saved model: one `.npy` file per array, and a manifest that names them.

::

    model/manifest.json                        format, version, libraries, content, arrays, digest
    model/user_factors-3f5a9c0d1e2b4a68.npy    a name, and how the sha256 of the file begins
    model/users-91d07be2c4f8a653.npy

Nothing is pickled: `numpy.load` reads every file. Strings (``"dtype": "str", "shape": [n]`` in the
manifest) are bytes: n + 1 little-endian int64 offsets, then the UTF-8 of all strings together. With
``offsets, text = raw[: 8 * n + 8].view("<i8"), raw[8 * n + 8 :]`` the i-th string is
``text[offsets[i] : offsets[i + 1]].tobytes().decode()``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import ArtefactError, DataError
from coldstart.locks import alone
from coldstart.provenance import libraries

__all__ = [
    "FORMAT",
    "VERSION",
    "check_replaceable",
    "digest_of",
    "read_artefact",
    "verify_artefact",
    "write_artefact",
]

FORMAT = "coldstart"
VERSION = 4  # goes up with every change of what `WarmStart.save` writes
READABLE = 3  # the oldest version whose content is still understood

ATTEMPTS = 20  # to read a folder that is saved into meanwhile
STUCK = 5  # attempts at the same model, one after the other: then it is damaged

_MANIFEST = "manifest.json"
_UNFINISHED = ".coldstart-unfinished"
_FILE = re.compile(r"[a-z0-9_-]+-[0-9a-f]{16}\.npy")

_BROKEN = (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)

Array = NDArray[Any]
_write_npy = partial(np.lib.format.write_array, version=(1, 0), allow_pickle=False)


@dataclass(frozen=True)
class _Entry:
    """What the manifest says of one array."""

    file: str
    sha256: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not _FILE.fullmatch(self.file):
            raise ValueError(f"it names {self.file!r}, which no save writes in this folder")
        object.__setattr__(self, "shape", tuple(map(int, self.shape)))


def write_artefact(
    path: str | os.PathLike[str], arrays: Mapping[str, Array | None], manifest: Mapping[str, Any]
) -> None:
    """Save arrays and plain values in a folder, in place of what was saved there before.

    The manifest is replaced last and at once: a save that is killed leaves the old model whole.
    What the old manifest alone names is removed after it, files of others never. Arrays that did
    not change are not written again. Saves into one folder wait for each other.

    Parameters
    ----------
    path : str or path
        The folder; made when there is none.
    arrays : mapping from names to arrays
        Numbers of any shape, or strings (n,). Those that are None are left out.
    manifest : mapping
        Plain values, as JSON has them: tuples come back as lists.

    Raises
    ------
    ArtefactError
        When the folder cannot be written, or holds a manifest that cannot be replaced: it is
        somebody else's, damaged, or newer than this version.
    DataError
        When an array holds neither numbers nor strings, or a string is not valid Unicode.
    """
    folder = Path(path)
    parts = {name: _part(name, array) for name, array in arrays.items() if array is not None}
    text = _manifest_text(manifest, {name: entry for name, (entry, _) in parts.items()})
    try:
        check_replaceable(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            try:
                _write_arrays(folder, list(parts.values()))
                _write_unfinished(folder / _MANIFEST, lambda file: file.write(text.encode()))
                _finish(folder, [_MANIFEST])
            finally:  # those that a killed save left, too
                _remove(list(folder.glob(f"*{_UNFINISHED}")))
            named = {entry.file for entry, _ in parts.values()}
            others = [path for path in folder.glob("*.npy") if path.name not in named]
            _remove([path for path in others if _ours(path)])
    except OSError as error:
        raise ArtefactError(
            f"cannot save the model in {folder} ({error.strerror or error}): "
            "choose a folder that can be written, on a disk with room"
        ) from error


def read_artefact(
    path: str | os.PathLike[str], *, mmap: bool = False
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read back what `write_artefact` saved, every file checked against its sha256.

    Parameters
    ----------
    path : str or path
        The folder.
    mmap : bool, default False
        Map numbers from their files instead of reading them. Then dtypes, shapes and sizes are
        checked, and what the files hold is left to `verify_artefact`.

    Returns
    -------
    arrays : dict
        Read-only; numbers little-endian and in C order, strings as object arrays of `str`.
    manifest : dict
        The plain values.

    Raises
    ------
    ArtefactError
        When there is no saved model, it is damaged or incomplete, or of another version of the
        format.
    """
    folder = Path(path)
    attempt = stuck = 0
    while True:
        entries, content = _read_manifest(folder, oldest=READABLE)
        try:
            arrays = {name: _read_array(folder, at, mmap=mmap) for name, at in entries.items()}
            return arrays, content
        except ArtefactError:  # perhaps another model was saved meanwhile
            attempt += 1
            same = _read_manifest(folder, oldest=READABLE)[0] == entries
            stuck = stuck + 1 if same else 0  # or two others, the second being the first again
            if attempt == ATTEMPTS or stuck == STUCK:
                raise


def verify_artefact(path: str | os.PathLike[str]) -> None:
    """Check every file of a saved model against its sha256.

    Raises
    ------
    ArtefactError
        As `read_artefact` does.
    """
    folder = Path(path)
    for entry in _read_manifest(folder, oldest=READABLE)[0].values():
        _read_array(folder, entry, mmap=True, hashed=True)


def _part(name: str, array: Array) -> tuple[_Entry, Array]:
    """Give an array the form in which it is stored, and describe it; mostly without a copy."""
    given = np.asarray(array)
    if given.dtype.kind in "OUT":
        dtype, values = "str", _pack(name, given)
    elif given.dtype.kind in "biufc":
        values = np.asarray(given, given.dtype.newbyteorder("<"), order="C")
        dtype = values.dtype.str
    else:
        raise DataError(f"{name} must hold numbers or strings, got dtype {given.dtype}: convert it")
    digest = hashlib.sha256()
    _write_npy(SimpleNamespace(write=digest.update), values)
    readable = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:64] or "array"
    file = f"{readable}-{digest.hexdigest()[:16]}.npy"
    return _Entry(file, digest.hexdigest(), dtype, given.shape), values


def _pack(name: str, strings: Array) -> NDArray[np.uint8]:
    if strings.ndim != 1:
        raise DataError(f"{name} must be strings (n,) or numbers, got shape {strings.shape}")
    try:
        encoded = [str.encode(string) for string in strings.tolist()]
    except TypeError as error:
        raise DataError(f"{name} must hold strings or numbers alone ({error})") from error
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} holds {error.object!r}, which is not valid Unicode: "
            "decode what it was read from with the right encoding"
        ) from error
    offsets = np.cumsum([0, *map(len, encoded)], dtype="<i8")
    return np.frombuffer(b"".join([offsets.tobytes(), *encoded]), np.uint8)


def _unpack(raw: Array, n: int) -> Array:
    offsets, text = raw[: 8 * n + 8].view("<i8"), raw[8 * n + 8 :].tobytes()
    if len(offsets) != n + 1 or offsets[-1] != len(text) or np.diff(offsets, prepend=0).min() < 0:
        raise ValueError("its offsets do not fit its text")
    strings = [text[start:end].decode() for start, end in pairwise(offsets.tolist())]
    return np.array(strings, dtype=object)


def _manifest_text(content: Mapping[str, Any], entries: Mapping[str, _Entry]) -> str:
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "libraries": libraries(),
        "content": dict(content),
        "arrays": {name: asdict(entry) for name, entry in entries.items()},
    }
    whole["digest"] = digest_of(json.loads(json.dumps(whole)))
    return json.dumps(whole, indent=1) + "\n"


def digest_of(whole: Mapping[str, Any]) -> str:
    """Fingerprint of what a manifest says, its own fingerprint apart."""
    said = {key: value for key, value in whole.items() if key != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _ours(path: Path) -> bool:
    """Whether a save wrote this array: its name says how its own sha256 begins."""
    return bool(_FILE.fullmatch(path.name)) and path.stem.endswith(f"-{_sha256(path)[:16]}")


def check_replaceable(folder: Path) -> None:
    """Refuse a folder with a manifest that a save must not replace: one of an older version may
    be, as it has to be fitted and saved again.
    """
    if not (folder / _MANIFEST).exists():
        return
    try:
        _read_manifest(folder, oldest=1)
    except ArtefactError as error:
        raise ArtefactError(
            f"cannot save over {folder / _MANIFEST}, which is not of a model that this coldstart "
            "reads: choose another folder"
        ) from error


def _write_arrays(folder: Path, parts: list[tuple[_Entry, Array]]) -> None:
    new = {entry.file: array for entry, array in parts if not _is_there(folder, entry)}
    for file, array in new.items():
        _write_unfinished(folder / file, partial(_write_npy, array=array))
    _finish(folder, list(new))


def _is_there(folder: Path, entry: _Entry) -> bool:
    path = folder / entry.file
    return path.is_file() and _sha256(path) == entry.sha256


def _write_unfinished(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with open(f"{path}{_UNFINISHED}", "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _finish(folder: Path, files: list[str]) -> None:
    """Give files their names, under which there is never a part of them, and make that last."""
    for file in files:
        os.replace(folder / f"{file}{_UNFINISHED}", folder / file)
    if os.name == "posix":  # elsewhere a folder cannot be synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):  # a file too many does no harm
            path.unlink()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(partial(file.read, 2**20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _read_manifest(folder: Path, *, oldest: int) -> tuple[dict[str, _Entry], dict[str, Any]]:
    path = folder / _MANIFEST
    try:
        if not path.is_file():
            why = f"it has no {_MANIFEST}" if folder.is_dir() else "there is no such folder"
            raise ArtefactError(f"{folder} holds no model, {why}: pass where one was saved")
        return _parse_manifest(path, json.loads(path.read_bytes()), oldest)
    except (*_BROKEN, RecursionError) as error:
        raise _unreadable(path, error) from error


def _parse_manifest(
    path: Path, whole: Any, oldest: int
) -> tuple[dict[str, _Entry], dict[str, Any]]:
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise ArtefactError(f"{path} is not of a model that coldstart saved: pass another folder")
    came = int(whole["version"])
    if not oldest <= came <= VERSION:
        age, advice = (
            ("a newer", "upgrade coldstart")
            if came > VERSION
            else ("an older", "fit the model and save it again")
        )
        raise ArtefactError(
            f"{path} was written by {age} coldstart, in version {came} of the format where this "
            f"one reads {_readable()}: {advice}"
        )
    if whole["digest"] != digest_of(whole):
        raise ValueError("its content is not what was saved")
    entries = {name: _Entry(**fields) for name, fields in whole["arrays"].items()}
    return entries, dict(whole["content"])


def _readable() -> str:
    return str(VERSION) if READABLE == VERSION else f"{READABLE} to {VERSION}"


def _read_array(folder: Path, entry: _Entry, *, mmap: bool, hashed: bool = False) -> Array:
    path = folder / entry.file
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no regular file")
        if (hashed or not mmap) and _sha256(path) != entry.sha256:
            raise ValueError("its sha256 is not that of the manifest")
        _check_header(path, entry)
        values: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        if entry.dtype == "str":
            values = _unpack(np.asarray(values), *entry.shape)
        elif not mmap:
            values = np.array(values)
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    values.flags.writeable = False
    return values if not isinstance(values, np.memmap) else values.view(np.ndarray)


def _check_header(path: Path, entry: _Entry) -> None:
    """See that a file says of its array what the manifest says, and is as long as that takes."""
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it is no array of this format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        rest = path.stat().st_size - file.tell()
    if entry.dtype == "str":
        fits = (dtype, len(shape)) == (np.dtype(np.uint8), 1) and len(entry.shape) == 1
    else:
        fits = (dtype.str, shape) == (entry.dtype, entry.shape) and dtype.kind in "biufc"
    if fortran or not fits:
        raise ValueError(f"it holds {dtype} {shape}, not {entry.dtype} {entry.shape}")
    if math.prod(shape) * dtype.itemsize != rest:
        raise ValueError(f"it has {rest} bytes for an array of {dtype} {shape}")


def _unreadable(path: Path, error: Exception) -> ArtefactError:
    if isinstance(error, OSError):
        why = error.strerror or error
        return ArtefactError(f"cannot read {path} ({why}): pass a whole and readable folder")
    why = " ".join(str(error).split())
    return ArtefactError(f"{path} is damaged ({why}): save the model again")
