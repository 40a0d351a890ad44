"""``coldstart datasets list``, ``info`` and ``fetch``: public data sets by name.

The licence and what to cite are shown before anything is fetched. At a terminal a question follows,
which ``--yes`` answers; a script is not asked. No other command uses the network.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coldstart.datasets.data_set import DataSet

__all__ = ["app"]

_SHOWN = 30  # domains that are listed
_UNPUBLISHED = "none is published: the sha256 of the first fetch is kept, and checked from then on"

_NAME = typer.Argument(metavar="NAME", help="Of the data set; list shows them.")
_DOMAINS = typer.Argument(metavar="[DOMAIN]...", help="Domains; all, where that is not too much.")
_TITLES = typer.Option("--titles", help="Also large files of titles, where there are some.")
_YES = typer.Option("--yes", "-y", help="Do not ask.")
_DEBUG = typer.Option("--debug", help="Show where an error comes from.")

app = typer.Typer(help="Public data sets by name: what there is, on which terms, and fetch it.")


@app.callback(invoke_without_command=True)
def _without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def show_all(_debug: Annotated[bool, _DEBUG] = False) -> None:
    """List the data sets that are known by name."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from coldstart.datasets.cache import cache_folder
    from coldstart.datasets.registry import DATA_SETS

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("name", "domains", "to fetch", "licence", "in the cache"):
        table.add_column(column)
    for data in DATA_SETS.values():
        table.add_row(data.name, _few(data.domains, 3), data.size, data.licence, _cached(data))
    width = None if sys.stdout.isatty() else 200
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(table)
    typer.echo(f"the cache is {cache_folder()} (COLDSTART_DATA names another)")


@app.command()
def info(name: Annotated[str, _NAME], _debug: Annotated[bool, _DEBUG] = False) -> None:
    """Show all that is known of a data set: terms, citation, files, and how to use it."""
    from coldstart.datasets.cache import fetched_domains, raw_folder
    from coldstart.datasets.registry import data_set

    data = data_set(name)
    files = data.files(data.example[0], titles=True)
    which = "" if data.archive is not None else f" (those of {data.example[0]})"
    _show_terms(data)
    for heading, lines in (
        ("domains", [_few(data.domains, _SHOWN), data.domains_are]),
        ("fetches", [f"{data.size}{which}", *(file.url for file in files)]),
        ("checksum", [files[0].checksum or _UNPUBLISHED]),
        ("note", [data.note] if data.note else []),
        ("cache", [_cached(data), f"{raw_folder(name)} (files as they were fetched)"]),
        ("use", [_use(data, fetched_domains(data))]),
    ):
        for number, line in enumerate(lines):
            _show("" if number else heading, line)


@app.command()
def fetch(
    name: Annotated[str, _NAME],
    domains: Annotated[list[str] | None, _DOMAINS] = None,
    titles: Annotated[bool, _TITLES] = False,
    yes: Annotated[bool, _YES] = False,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Fetch a data set into the cache, from where the other commands read it by name.

    What was fetched before is checked and not fetched again; a broken download goes on where it was
    cut. At a terminal you are asked once, after the licence is shown.
    """
    from coldstart.datasets.registry import data_set

    data = data_set(name)
    data.chosen(domains or ())  # before anything is shown
    _show_terms(data, err=True)
    if sys.stdin.isatty() and not yes and not typer.confirm(f"Fetch {data.size}?", err=True):
        typer.echo("nothing was fetched", err=True)
        raise typer.Exit(1)

    from coldstart.datasets.fetch import fetch as bring

    found = bring(
        name,
        domains or (),
        titles=titles,
        tell=lambda note: typer.echo(note, err=True),
        show_progress=sys.stderr.isatty(),
    )
    for part in found:
        titled = f", {part.titles} titles" if part.titles else ""
        typer.echo(
            f"{name}#{part.domain}: {part.users} users x {part.items} items, "
            f"{part.ratings} interactions{titled}"
        )
    richest = sorted(found, key=lambda part: -part.ratings)
    typer.echo(_use(data, [part.domain for part in richest]))


def _show_terms(data: DataSet, *, err: bool = False) -> None:
    _show("name", f"{data.name}: {data.title}", err=err)
    _show("holds", data.holds, err=err)
    _show("licence", f"{data.licence}. {data.terms}", err=err)
    for paper in data.citation:
        _show("cite", paper, err=err)
    _show("home", data.home, err=err)


def _show(heading: str, text: str, *, err: bool = False) -> None:
    typer.echo(f"{heading:10}{text}", err=err)


def _cached(data: DataSet) -> str:
    from coldstart.datasets.cache import fetched_domains

    return _few(fetched_domains(data), 3) or "no"


def _use(data: DataSet, domains: Sequence[str]) -> str:
    """The command that evaluates two domains, or fetches them."""
    if len(domains) < 2:
        more = [*domains, *(domain for domain in data.example if domain not in domains)][:2]
        named = " ".join(map(shlex.quote, more)) if data.archive is None else ""
        return f"coldstart datasets fetch {data.name} {named}".rstrip()
    source, target = (shlex.quote(f"{data.name}#{domain}") for domain in domains[:2])
    side = " --side items" if data.shared == "items" else ""
    return f"coldstart evaluate --source {source} --target {target}{side}"


def _few(names: Sequence[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
