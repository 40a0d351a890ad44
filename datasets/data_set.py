"""A public data set as a value: what it holds, on which terms, and which files it consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from coldstart.errors import DataError

__all__ = ["DataSet", "RemoteFile"]

_SHOWN = 30  # domains listed in a message


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes
    ----------
    name : str
        Of the file in the cache.
    url : str
    checksum : str, optional
        ``"sha256:..."`` or ``"md5:..."`` as somebody has published it. A file without one is
        trusted when it is first fetched, and checked against that from then on.
    """

    name: str
    url: str
    checksum: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A public data set. Nothing here touches the network.

    Attributes
    ----------
    name, title, holds : str
        Short name, title, and what is in it.
    reader : str
        The format, a name in ``READERS`` of ``coldstart.datasets.formats``.
    domains : tuple of str
    domains_are : str
        How the domains are made.
    example : (str, str)
        Two domains of which one may say something of the other.
    shared : {"users", "items"}
        What domains have in common: the side on which one is mapped to another.
    size : str
        How much there is to fetch.
    licence, terms : str
        The terms in a few words, and in full sentences.
    citation : tuple of str
        Papers to cite; one of them will do where there are several.
    home : str
    archive : RemoteFile, optional
        One file with all the domains. Without it there is one for each:
    ratings, titles : function of a domain, optional
        The domain's ratings, and a large file with titles, which is fetched when asked for.
    by_domain : bool
        Whether all of it is too much, so that domains must be named.
    note : str
        What else one should know.
    """

    name: str
    title: str
    holds: str
    reader: str
    domains: tuple[str, ...]
    domains_are: str
    example: tuple[str, str]
    shared: Literal["users", "items"]
    size: str
    licence: str
    terms: str
    citation: tuple[str, ...]
    home: str
    archive: RemoteFile | None = None
    ratings: Callable[[str], RemoteFile] | None = field(default=None, repr=False)
    titles: Callable[[str], RemoteFile] | None = field(default=None, repr=False)
    by_domain: bool = False
    note: str = ""

    def chosen(self, domains: Iterable[str]) -> list[str]:
        """Domains to fetch: those that are named, or all; in an archive they come together."""
        named = list(dict.fromkeys(domains))
        self.check_domains(named)
        if self.archive is not None or not (named or self.by_domain):
            return list(self.domains)
        if not named:
            raise DataError(
                f"{self.name} is too large to be fetched as a whole: name domains, for example "
                f"{' '.join(self.example)}"
            )
        return named

    def check_domains(self, domains: Iterable[str]) -> None:
        """Raise DataError where one of them is not a domain of this data set."""
        unknown = [domain for domain in domains if domain not in self.domains]
        if unknown:
            rest = len(self.domains) - _SHOWN
            raise DataError(
                f"{self.name} has no domain {unknown[0]!r}; the domains are "
                f"{', '.join(self.domains[:_SHOWN])}{f' and {rest} more' if rest > 0 else ''}"
            )

    def files(self, domain: str, *, titles: bool = False) -> list[RemoteFile]:
        """What a domain is made of: its ratings, and what has titles."""
        if self.archive is not None:
            return [self.archive]
        makers = [self.ratings, self.titles if titles else None]
        return [make(domain) for make in makers if make is not None]
