"""Where fetched data sets lie, and what of them is there. Nothing is ever fetched here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from coldstart import locks
from coldstart.datasets.data_set import DataSet
from coldstart.datasets.registry import DATA_SETS, data_set
from coldstart.errors import DataError, DownloadError

__all__ = [
    "Kind",
    "alone",
    "cache_folder",
    "fetched_domains",
    "is_data_set",
    "parsed_file",
    "raw_folder",
    "stored",
]

Kind = Literal["interactions", "items"]


def cache_folder() -> Path:
    """``COLDSTART_DATA``, or a folder of the platform for what can be fetched again."""
    named = os.environ.get("COLDSTART_DATA")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("coldstart")).expanduser()


def raw_folder(name: str) -> Path:
    """Where the files of a data set lie as they were fetched."""
    return cache_folder() / name / "raw"


def parsed_file(name: str, domain: str, kind: Kind = "interactions") -> Path:
    """Parquet file of a domain: its log (domain, user, item, rating, timestamp), or its titles."""
    return cache_folder() / name / kind / f"{domain.replace('/', '-')}.parquet"


def fetched_domains(data: DataSet) -> list[str]:
    """Domains of a data set that can be read."""
    return [domain for domain in data.domains if parsed_file(data.name, domain).is_file()]


def is_data_set(path: Path) -> bool:
    """Whether this is the name of a data set, and not that of a file."""
    return str(path) in DATA_SETS and not path.exists()


def stored(name: str, domain: str | None, kind: Kind = "interactions") -> list[Path]:
    """Files of a domain, or of the whole data set; DataError where they were not fetched."""
    data = data_set(name)
    if domain is not None:
        data.check_domains([domain])
    elif data.by_domain:
        there = ", ".join(fetched_domains(data)) or "none"
        raise DataError(
            f"expected a domain, as in {name}#{data.example[0]}; those in the cache: {there}"
        )
    present = fetched_domains(data)
    missing = [each for each in ([domain] if domain else data.domains) if each not in present]
    if (missing and data.archive is None) or not present:
        named = "" if data.archive is not None or domain is None else f" {domain}"
        raise DataError(
            f"it is not in the cache at {cache_folder()}; to get it: "
            f"coldstart datasets fetch {name}{named}"
        )
    if domain is not None and missing:
        raise DataError(f"domain {domain!r} has no interactions; {', '.join(present)} have some")
    files = [parsed_file(name, each, kind) for each in ([domain] if domain else present)]
    return [file for file in files if file.is_file()]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into the folder, which is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"cannot make the folder {folder} ({error.strerror}): name another one in "
            "COLDSTART_DATA"
        ) from None
    with locks.alone(folder):
        yield
