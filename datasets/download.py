"""Files over HTTP: resumed where a connection was cut, checked, and only then given their name."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coldstart.errors import DownloadError

if TYPE_CHECKING:
    import requests

__all__ = ["WrongFileError", "download", "hash_of", "matches"]

_CHUNK = 2**18
_ATTEMPTS = 4  # how often a connection that is cut is taken up again
_PAUSE = 1.0  # seconds between two of them
_TIMEOUT = 30.0  # seconds without a byte


class WrongFileError(DownloadError):
    """What was fetched has another checksum than was expected."""


class _CutError(Exception):
    """The connection broke before the file was whole."""


def download(
    url: str, path: Path, checksum: str | None = None, *, show_progress: bool = False
) -> None:
    """Fetch a file, which appears under its name only when it is whole and has its checksum.

    Until then it grows as ``NAME.part``, which stays when the connection or the process is cut:
    the next call goes on from there, if the server can and still has the same file.

    Parameters
    ----------
    url : str
    path : Path
        Where the file shall lie; what is there is replaced.
    checksum : str, optional
        ``"sha256:..."`` or ``"md5:..."``; a file with another one is deleted.
    show_progress : bool
        Show a bar on stderr.

    Raises
    ------
    DownloadError
        When the server cannot be reached or has no such file, or the disk is full; a
        `WrongFileError` when the file is not the one that was expected.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(path)
    with _explained(url, path):
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _receive(url, part, trusted=checksum is not None, show_progress=show_progress)
                break
            except _CutError as cut:
                if attempt == _ATTEMPTS:
                    raise DownloadError(
                        f"{url}: the connection was cut {attempt} times, now after {part.size()} "
                        f"bytes ({cut}): run the command again, it goes on from there"
                    ) from None
                time.sleep(_PAUSE)
        if checksum is not None and not matches(part.file, checksum):
            found = hash_of(part.file, checksum.partition(":")[0])
            part.delete()
            raise WrongFileError(
                f"{url}: expected a file with {checksum}, got {found}: it was deleted. The file "
                "has changed at its source, or was changed on the way"
            )
        os.replace(part.file, path)
        part.delete()


def hash_of(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file, as ``"sha256:..."``."""
    import pooch

    return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"


def matches(path: Path, checksum: str) -> bool:
    """Whether a file has this checksum."""
    return hash_of(path, checksum.partition(":")[0]) == checksum.lower()


class _Part:
    """What was received of a file, and by what its server tells this version from others."""

    def __init__(self, path: Path) -> None:
        self.file = path.with_name(f"{path.name}.part")
        self._version = path.with_name(f"{path.name}.part.version")

    def size(self) -> int:
        return self.file.stat().st_size if self.file.is_file() else 0

    def version(self) -> str | None:
        return self._version.read_text(encoding="utf-8") if self._version.is_file() else None

    def begin(self, version: str | None) -> None:
        self.delete()
        if version is not None:
            self._version.write_text(version, encoding="utf-8")

    def delete(self) -> None:
        self.file.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)


def _receive(url: str, part: _Part, *, trusted: bool, show_progress: bool) -> None:
    """Add to the part what is missing; a part whose version nobody knows needs a checksum."""
    import requests

    version = part.version()
    start = part.size() if trusted or version is not None else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "coldstart"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if version is not None:
            headers["If-Range"] = version
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == 416 and _is_whole(response, start):
                return
            goes_on = _continues(response, start)
            if response.status_code in (206, 416) and not goes_on:
                part.delete()
                raise _CutError("the server cannot go on from there")
            response.raise_for_status()
            if not goes_on:
                start = 0
                part.begin(_version_of(response))
            _write(response, part, start, show_progress)
    except requests.exceptions.ReadTimeout:
        raise _CutError(f"nothing came for {_TIMEOUT:g} seconds") from None


def _continues(response: requests.Response, start: int) -> bool:
    """Whether the server sends what is missing, and not the file from its beginning."""
    if response.status_code != 206:
        return False
    sent = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return start > 0 and sent is not None and int(sent[1]) == start


def _is_whole(response: requests.Response, start: int) -> bool:
    return response.headers.get("Content-Range") == f"bytes */{start}"


def _version_of(response: requests.Response) -> str | None:
    """A strong ETag, or the date of the last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _write(response: requests.Response, part: _Part, start: int, show_progress: bool) -> None:
    import urllib3
    from tqdm import tqdm

    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None else None
    _check_room(part.file.parent, 0 if total is None else total - start)
    bar: Any = tqdm(
        total=total,
        initial=start,
        unit="B",
        unit_scale=True,
        desc=part.file.stem,
        disable=not show_progress,
        leave=False,
    )
    with bar, part.file.open("ab") as file:
        try:  # undecoded: a server may call a .gz file an encoding
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
        except (urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise _CutError(type(error).__name__) from None
        os.fsync(file.fileno())
    if total is not None and part.size() != total:
        raise _CutError(f"of {total} bytes")


@contextmanager
def _explained(url: str, path: Path) -> Iterator[None]:
    """What went wrong, and what to do."""
    import requests

    by_hand = f"or put the file yourself at {path} and run the command again"
    try:
        yield
    except requests.exceptions.HTTPError as error:
        answer = str(error).partition(" for url")[0]
        raise DownloadError(f"{url}: the server answers {answer}: try later, {by_hand}") from None
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout):
        raise DownloadError(
            f"{url}: {urlsplit(url).hostname} cannot be reached: check the connection, {by_hand}"
        ) from None
    except requests.exceptions.RequestException as error:
        raise DownloadError(f"{url}: {error}: try later, {by_hand}") from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _full(path.parent, "no space is left") from None


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise _full(folder, f"{_size(needed)} are needed, {_size(free)} are free")


def _full(folder: Path, why: str) -> DownloadError:
    return DownloadError(
        f"the disk of {folder} is full ({why}): make room, or name another folder in "
        "COLDSTART_DATA; what has come is kept"
    )


def _size(bytes_: int) -> str:
    return f"{bytes_ / 1e6:,.0f} MB" if bytes_ >= 1e6 else f"{bytes_:,} bytes"
