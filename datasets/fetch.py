"""Fetching a data set: the one place from which the network is used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coldstart.datasets.cache import alone, cache_folder, parsed_file, raw_folder
from coldstart.datasets.data_set import DataSet, RemoteFile
from coldstart.datasets.download import WrongFileError, download, hash_of, matches
from coldstart.datasets.registry import data_set
from coldstart.errors import DataError, DownloadError

if TYPE_CHECKING:
    import polars as pl

    from coldstart.datasets.raw import Parsed

__all__ = ["Fetched", "fetch"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """A domain that can be read now.

    Attributes
    ----------
    domain : str
    users, items, ratings : int
    titles : int
        Items with a title.
    """

    domain: str
    users: int
    items: int
    ratings: int
    titles: int


def fetch(
    name: str,
    domains: Iterable[str] = (),
    *,
    titles: bool = False,
    tell: Tell = lambda note: None,
    show_progress: bool = False,
) -> list[Fetched]:
    """Fetch a data set, or some of its domains, and make it readable by name.

    Files that are in the cache are checked and not fetched again.

    Parameters
    ----------
    name : str
        One of those in ``DATA_SETS``.
    domains : iterable of str
        Needed where the data set is too large to be fetched as a whole.
    titles : bool
        Fetch files of titles, too, where they do not come along anyway.
    tell : function of a line of text
        Gets notes on what is done.
    show_progress : bool
        Show bars on stderr.

    Returns
    -------
    list of Fetched
        The domains that have interactions.

    Raises
    ------
    DataError
        When there is no such data set or domain, or its files are not as expected.
    DownloadError
        When a file cannot be fetched, or has another checksum than the published one or the one
        that it had when it was first fetched.
    """
    data = data_set(name)
    chosen = data.chosen(domains)
    found: list[Fetched] = []
    with alone(raw_folder(name)):
        for domain in chosen[:1] if data.archive is not None else chosen:
            paths = [
                _present(data, file, tell, show_progress=show_progress)
                for file in data.files(domain, titles=titles)
            ]
            found += _parse(data, paths, domain, tell)
    return found


def _present(data: DataSet, file: RemoteFile, tell: Tell, *, show_progress: bool) -> Path:
    """The file in the cache, fetched if need be, with the checksum it must have."""
    path = raw_folder(data.name) / file.name
    record = _Record(raw_folder(data.name) / "sha256.json")
    expected = file.checksum or record.of(file)
    if path.is_file() and (expected is None or matches(path, expected)):
        tell(f"{file.name}: is in the cache")
    else:
        changed = " again, as the file in the cache is another or damaged" * path.is_file()
        tell(f"{file.name}: fetching {file.url}{changed}")
        try:
            download(file.url, path, expected, show_progress=show_progress)
        except WrongFileError as error:
            if file.checksum is not None:
                raise
            raise WrongFileError(
                f"{error}. Expected is what was fetched first, as {record.path} says: to take the "
                "new one, delete its line there"
            ) from None
    if expected is None:
        kept = record.add(file, path)
        tell(f"{file.name}: no checksum is published; {kept} is kept and checked from now on")
    return path


class _Record:
    """The sha256 of files of which none is published, as they were at first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _lines(self) -> dict[str, str]:
        try:
            lines = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            lines = None
        if not isinstance(lines, dict):
            raise DataError(f"{self.path}: this is no valid JSON: repair or delete it")
        return lines

    def of(self, file: RemoteFile) -> str | None:
        return self._lines().get(file.name)

    def add(self, file: RemoteFile, path: Path) -> str:
        checksum = hash_of(path)
        text = json.dumps({**self._lines(), file.name: checksum}, indent=1, sort_keys=True)
        _replace(self.path, lambda part: part.write_text(text, encoding="utf-8"))
        return checksum


def _parse(data: DataSet, paths: list[Path], domain: str, tell: Tell) -> list[Fetched]:
    from coldstart.datasets.formats import read_files

    tell(f"reading {', '.join(path.name for path in paths)}")
    parsed = read_files(data.reader, paths, domain)
    if parsed.broken:
        tell(f"{parsed.broken} lines could not be read and were left out")
    if parsed.log.is_empty():
        raise DataError(f"{data.name} has no interactions in the domain {domain!r}")
    present = set(parsed.log["domain"].unique())
    return [_kept(data, parsed, each) for each in data.domains if each in present]


def _kept(data: DataSet, parsed: Parsed, domain: str) -> Fetched:
    """Write what there is of a domain."""
    log = parsed.log.filter(domain=domain)
    items = None if parsed.items is None else parsed.items.filter(domain=domain)
    _write(log, parsed_file(data.name, domain))
    if items is not None:
        _write(items, parsed_file(data.name, domain, "items"))
    titles = 0 if items is None else len(items)
    return Fetched(domain, log["user"].n_unique(), log["item"].n_unique(), len(log), titles)


def _write(frame: pl.DataFrame, path: Path) -> None:
    _replace(path, lambda part: frame.write_parquet(part))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Give a file its name when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise DownloadError(
            f"cannot write in {path.parent} ({error.strerror or error}): make room, or name "
            f"another folder in COLDSTART_DATA instead of {cache_folder()}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
