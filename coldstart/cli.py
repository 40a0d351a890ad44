"""The command line: ``coldstart evaluate``, ``report``, ``compare``, ``diagnose``, ``datasets``,
``benchmark``, ``fit``, ``recommend``.

Results go to stdout, progress and notes to stderr. The exit code is 0 when a command did its work,
1 when data or files made it fail, 2 for wrong usage and 130 when it was interrupted; the reason is
one line on stderr. Everything heavy is imported by the command that needs it, so that ``--help`` is
quick.
"""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from coldstart import dataset_commands, lists, tables
from coldstart.errors import ColdstartError

if TYPE_CHECKING:
    from coldstart.interactions import Interactions
    from coldstart.protocols import Drawn
    from coldstart.results import Results

__all__ = ["app", "main"]

_INTERRUPTED = 130

Side = Literal["users", "items"]
Protocol = Literal["cold", "mixed", "launch", "temporal", "anchors", "sampled"]
_SOURCE = typer.Option(
    metavar="PATH[#DOMAIN]",
    help="Log of the rich catalog: CSV, TSV, Parquet, RecBole's .inter, or a data set's name.",
)
_TARGET = typer.Option(metavar="PATH[#DOMAIN]", help="Log of the new catalog.")
_SIDE = typer.Option(help="Whose embeddings are mapped.")
_FACTORS = typer.Option(min=1, help="Width of the embeddings.")
_SEED = typer.Option(min=0, help="Of the split and of the models.")
_LENGTH = typer.Option("--n", min=1, help="Length of the lists.")
_METRIC = typer.Option(
    help="ndcg, recall, mrr, hit_rate, precision, map, f1, r_precision, rbp or first."
)
_HOLDOUT = typer.Option(
    help="Share of the anchors that are tested; launch and temporal test everybody they can."
)
_USER = typer.Option(metavar="COLUMN", help="Column of user ids.")
_ITEM = typer.Option(metavar="COLUMN", help="Column of item ids.")
_WEIGHT = typer.Option(metavar="COLUMN", help="Column of weights; without it every row counts 1.")
_TIMESTAMP = typer.Option(metavar="COLUMN", help='Column of times; "timestamp" where there is one.')
_DOMAIN = typer.Option(metavar="COLUMN", help="Column in which #DOMAIN is looked up.")
_THREADS = typer.Option(min=0, help="0 is all cores; results do not depend on it.")
_DEBUG = typer.Option("--debug", help="Show where an error comes from.")


class _Program(TyperGroup):
    """Gives every error one line on stderr and its exit code."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **settings: Any) -> Any:
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        settings["standalone_mode"] = False
        try:
            code = super().main(arguments, **settings) or 0
            if code == _INTERRUPTED:
                _tell("error: interrupted")
        except Exception as error:
            if "--debug" in arguments:
                traceback.print_exc()
            _tell(f"error: {_reason(error)}")
            code = 2 if _is_usage(error) else 1
        sys.exit(code)


app = typer.Typer(
    cls=_Program,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Warm starts for recommenders: what a rich catalog knows becomes a prior for a new one.",
)
app.add_typer(dataset_commands.app, name="datasets")


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="coldstart")


@app.command()
def evaluate(
    source: Annotated[str | None, _SOURCE] = None,
    target: Annotated[str | None, _TARGET] = None,
    side: Annotated[Side, _SIDE] = "users",
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="cold: people lose everything; mixed: new ones compete with known ones; launch: a "
            "share of the target log is there; temporal: one cut through both logs; anchors: few "
            "are in both; sampled: 1 positive against 999, biased, to set beside published tables."
        ),
    ] = "cold",
    levels: Annotated[
        str | None,
        typer.Option(
            metavar="X,X,...",
            help="Shares for launch (0.05,0.1,0.3,1), or numbers of anchors (10,30,100, and all).",
        ),
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(
            metavar="K,K,...",
            help="Interactions that held-out people get back: 0,1,2,5, for launch 0, for temporal "
            "0,1,2.",
        ),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...",
            help="Arms to compare; by default popularity, cold, mean-prior, init, neighbours, "
            "linear-rows, joint and warm:ridge. There are auto, the choice with a gate, and warm: "
            "with the name of any other adapter, too.",
        ),
    ] = None,
    factors: Annotated[int, _FACTORS] = 64,
    n: Annotated[int, _LENGTH] = 10,
    metric: Annotated[str, _METRIC] = "ndcg",
    order: Annotated[
        Literal["auto", "time", "random"],
        typer.Option(help="In which interactions come back; auto: by time where there is any."),
    ] = "auto",
    holdout: Annotated[float, _HOLDOUT] = 0.2,
    seed: Annotated[int, _SEED] = 0,
    seeds: Annotated[
        int, typer.Option(min=1, help="How many seeds, from --seed on: a second level.")
    ] = 1,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Settings that each arm may try, for each number of shots: 40, and for auto as "
            "many as its budget allows.",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="For the trials of each arm: no limit, 240 for auto."),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="split.parquet of a run on these logs: test the same."),
    ] = None,
    titles: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Table with --item and title, for lists in the report."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for report.html, results.json, people.parquet and split.parquet.",
        ),
    ] = None,
    user: Annotated[str, _USER] = "user",
    item: Annotated[str, _ITEM] = "item",
    weight: Annotated[str | None, _WEIGHT] = None,
    timestamp: Annotated[str | None, _TIMESTAMP] = None,
    domain: Annotated[str, _DOMAIN] = "domain",
    threads: Annotated[int, _THREADS] = 0,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """See how much a rich catalog helps a new one.

    People in both catalogs lose their target interactions, every arm serves them, and the table
    says how well. Without --source and --target the catalogs are synthetic.
    """
    _check_pair(source, target)
    returned = None if shots is None else _integers(shots, "--shots")
    at = None if levels is None else _numbers(levels, "--levels")
    if out is not None:
        _check_folder(out)

    from coldstart.arms import make_arms
    from coldstart.evaluation import evaluate as measure
    from coldstart.metrics import metric as metric_named
    from coldstart.protocols import series

    metric_named(metric)
    series(protocol, at)
    if split is not None and (protocol != "cold" or at is not None):
        raise ValueError("--split brings its own protocol: leave out --protocol and --levels")
    chosen = None if arms is None else make_arms([name.strip() for name in arms.split(",")])
    columns = _Columns(user, item, weight, timestamp, domain)
    named_titles = {} if titles is None else columns.titles(titles)
    logs = columns.read_or_draw(source, target, seed)
    results = measure(
        *logs,
        side=side,
        protocol=protocol if split is None else _drawn(split, side, logs),
        levels=at,
        shots=returned,
        arms=chosen,
        factors=factors,
        n=n,
        metric=metric,
        rng=seed,
        seeds=seeds,
        trials=trials,
        budget=budget,
        test_share=holdout,
        order=order,
        titles=named_titles,
        names=_names(source, target),
        num_threads=threads,
        show_progress=sys.stderr.isatty(),
    )
    tables.show(results)
    if out is not None:
        _save(results, out, files={"source": source, "target": target})


def _drawn(split: Path, side: Side, logs: tuple[Interactions, Interactions]) -> Drawn:
    """The splits of an earlier run on the same logs."""
    from coldstart.protocols import Drawn

    source, target = (log.T for log in logs) if side == "items" else logs
    drawn = Drawn.load(split, source, target)
    _tell(f"split: {drawn.protocols[0].name}; --seed is of models alone, --holdout of nothing")
    return drawn


def _save(results: Results, out: Path, *, files: dict[str, str | None]) -> None:
    """Write the results of an evaluation, and the page made of them."""
    from coldstart.report import write_report
    from coldstart.results import PEOPLE, SPLIT

    more = {"files": files, "command": shlex.join(["coldstart", *sys.argv[1:]])}
    results = replace(results, config={**results.config, **more})
    path = results.save(out)
    _tell(f"wrote {path}, and {PEOPLE} and {SPLIT} beside it")
    _tell(f"wrote {write_report(results, out)}")


@app.command()
def report(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS.JSON", help="As evaluate --out writes it.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder; that of the results by default.")
    ] = None,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Write report.html again, from the results of an evaluation."""
    folder = results.parent if out is None else out
    _check_folder(folder)

    from coldstart.report import write_report
    from coldstart.results import Results

    _tell(f"wrote {write_report(Results.load(results), folder)}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A/RESULTS.JSON", help="One run.")],
    second: Annotated[Path, typer.Argument(metavar="B/RESULTS.JSON", help="Another.")],
    metric: Annotated[
        str | None, typer.Option(help="What is compared; by default that of the first run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Set two evaluations side by side, person by person.

    Each needs the people.parquet that evaluate --out writes beside its results.
    """
    from coldstart.side_by_side import compare as set_beside

    found = set_beside(first, second, metric=metric)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
    else:
        tables.show_side_by_side(found)


@app.command()
def diagnose(
    source: Annotated[str | None, _SOURCE] = None,
    target: Annotated[str | None, _TARGET] = None,
    side: Annotated[Side, _SIDE] = "users",
    factors: Annotated[int, _FACTORS] = 64,
    seed: Annotated[int, _SEED] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    user: Annotated[str, _USER] = "user",
    item: Annotated[str, _ITEM] = "item",
    weight: Annotated[str | None, _WEIGHT] = None,
    timestamp: Annotated[str | None, _TIMESTAMP] = None,
    domain: Annotated[str, _DOMAIN] = "domain",
    threads: Annotated[int, _THREADS] = 0,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Say whether crossing is likely to pay, before anything is fitted for good.

    The verdict is that of held-out people. Beside it: who is in both catalogs and how they differ
    from the rest, how embeddings hang together, and what is listed twice. Without --source and
    --target the catalogs are synthetic.
    """
    _check_pair(source, target)

    from coldstart.diagnosis import diagnose as examine

    found = examine(
        *_Columns(user, item, weight, timestamp, domain).read_or_draw(source, target, seed),
        side=side,
        factors=factors,
        rng=seed,
        num_threads=threads,
        show_progress=sys.stderr.isatty(),
    )
    typer.echo(json.dumps(found.to_json(), indent=1) if as_json else str(found))


@app.command()
def benchmark(
    source: Annotated[str | None, _SOURCE] = None,
    target: Annotated[str | None, _TARGET] = None,
    side: Annotated[Side, _SIDE] = "users",
    shots: Annotated[
        str, typer.Option(metavar="K,K,...", help="Interactions given back; 0 is always tried.")
    ] = "0,1,2,5,10",
    factors: Annotated[int, _FACTORS] = 64,
    n: Annotated[int, _LENGTH] = 10,
    metric: Annotated[str, _METRIC] = "ndcg",
    holdout: Annotated[float, _HOLDOUT] = 0.2,
    seed: Annotated[int, _SEED] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write benchmark.json in.")
    ] = None,
    user: Annotated[str, _USER] = "user",
    item: Annotated[str, _ITEM] = "item",
    weight: Annotated[str | None, _WEIGHT] = None,
    timestamp: Annotated[str | None, _TIMESTAMP] = None,
    domain: Annotated[str, _DOMAIN] = "domain",
    threads: Annotated[int, _THREADS] = 0,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Time a warm start against a cold one.

    How long until the warm model is as good as the cold one gets, how many interactions the cold
    one needs to be as good as the warm one is without any, and quality over time. Without --source
    and --target the catalogs are synthetic.
    """
    _check_pair(source, target)
    tried = _integers(shots, "--shots")
    if out is not None:
        _check_folder(out)

    from coldstart.catchup import catch_up
    from coldstart.metrics import metric as metric_named

    metric_named(metric)
    results = catch_up(
        *_Columns(user, item, weight, timestamp, domain).read_or_draw(source, target, seed),
        side=side,
        shots=tried,
        factors=factors,
        n=n,
        metric=metric,
        rng=seed,
        test_share=holdout,
        num_threads=threads,
    )
    tables.show_catch_up(results)
    if out is not None:
        files = {"source": source, "target": target}
        path = replace(results, config={**results.config, "files": files}).save(out)
        _tell(f"wrote {path}")


@app.command()
def fit(
    source: Annotated[str, _SOURCE],
    target: Annotated[str, _TARGET],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Folder to save the model in.")],
    side: Annotated[Side, _SIDE] = "users",
    adapter: Annotated[str, typer.Option(help="What maps the embeddings.")] = "ridge",
    factors: Annotated[int, _FACTORS] = 64,
    seed: Annotated[int, _SEED] = 0,
    user: Annotated[str, _USER] = "user",
    item: Annotated[str, _ITEM] = "item",
    weight: Annotated[str | None, _WEIGHT] = None,
    timestamp: Annotated[str | None, _TIMESTAMP] = None,
    domain: Annotated[str, _DOMAIN] = "domain",
    threads: Annotated[int, _THREADS] = 0,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Warm-start a model of the new catalog, save it, and say what was moved."""
    _check_folder(out)

    from coldstart.adapters import named
    from coldstart.als import PriorALS
    from coldstart.artefact import check_replaceable
    from coldstart.warmstart import WarmStart

    check_replaceable(out)
    warm = WarmStart(
        PriorALS(factors, rng=seed, num_threads=threads),
        named(adapter),
        side=side,
        rng=seed,
        num_threads=threads,
        show_progress=sys.stderr.isatty(),
    )
    warm.fit(*_Columns(user, item, weight, timestamp, domain).read_both(source, target))
    warm.save(out)
    typer.echo(str(warm.report_))
    _tell(f"saved the model in {out}")


@app.command()
def recommend(
    model: Annotated[Path, typer.Option(metavar="MODEL", help="Folder that fit has written.")],
    ids: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Whom to serve: an id per line, or a table with --user."),
    ],
    n: Annotated[int, _LENGTH] = 10,
    history: Annotated[
        str | None,
        typer.Option(metavar="PATH[#DOMAIN]", help="Log that the model does not know yet."),
    ] = None,
    missing: Annotated[
        Literal["raise", "popular"],
        typer.Option(help="What unknown ids without history get: an error, or what is popular."),
    ] = "raise",
    audience: Annotated[
        bool, typer.Option("--audience", help="Items in, users out: whom each item would please.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV, TSV, Parquet or JSON lines; else CSV on stdout."),
    ] = None,
    user: Annotated[str, _USER] = "user",
    item: Annotated[str, _ITEM] = "item",
    domain: Annotated[str, _DOMAIN] = "domain",
    threads: Annotated[int, _THREADS] = 0,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Rank the catalog for each of the ids, without what they have seen."""
    if out is not None:
        lists.check_place(out, ids)
        _check_folder(out.parent)

    from coldstart.asked import AskedIds, naming, readable_again
    from coldstart.datasets import read_interactions
    from coldstart.warmstart import WarmStart

    warm = WarmStart.load(model)
    warm.num_threads = threads
    sides: tuple[Side, Side] = ("items", "users") if audience else ("users", "items")
    query, catalog = map(warm.ids, sides)
    everybody: dict[Any, list[Any]] = {}
    if history is not None:
        log = read_interactions(history, user=user, item=item, domain=domain)
        with naming(history):
            everybody = lists.histories(log.T if audience else log, query, catalog)
    with readable_again(ids) as file:
        asked = AskedIds(file, item if audience else user, query)
        told = lists.told(asked, everybody, catalog, missing, log=history)
        lists.Lists(warm, sides, asked, told, n, missing).write(out)


def _tell(note: str) -> None:
    typer.echo(note, err=True)


def _is_usage(error: Exception) -> bool:
    """Whether an argument was wrong: said so by typer, or by the function that was called."""
    return type(error) is ValueError or hasattr(error, "format_message")


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename}: {error.strerror}"
    elif isinstance(error, ColdstartError | OSError) or _is_usage(error):
        message = getattr(error, "format_message", error.__str__)()
    else:
        message = f"unexpected {type(error).__name__}, {error} (--debug shows where)"
    return " ".join(message.split())


def _names(source: str | None, target: str | None) -> tuple[str, str]:
    """What the catalogs are called: by their domains, else by their files."""

    def name(path: str) -> str:
        file, _, domain = path.rpartition("#")
        return domain if file else Path(path).name.partition(".")[0]

    if source is None or target is None:
        return "the source", "the target"
    return name(source), name(target)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{option}: expected numbers separated by commas, got {text!r}") from None


def _integers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{option}: expected integers separated by commas, got {text!r}") from None


def _check_pair(source: str | None, target: str | None) -> None:
    if (source is None) != (target is None):
        raise ValueError("expected both --source and --target or neither, got one of them")


def _check_folder(folder: Path) -> None:
    """Fail now if a folder cannot be written in later; none is made to stay."""
    made: list[Path] = []
    try:
        for part in (*reversed(folder.parents), folder):
            if not part.exists():
                part.mkdir()
                made.append(part)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ColdstartError(f"cannot write in the folder {folder}: {error.strerror}") from None
    finally:
        for part in reversed(made):
            part.rmdir()


@dataclass(frozen=True)
class _Columns:
    """How the columns of both logs are named."""

    user: str
    item: str
    weight: str | None
    timestamp: str | None
    domain: str

    def read_both(self, source: str, target: str) -> tuple[Interactions, Interactions]:
        both = self._read(source, "source"), self._read(target, "target")
        if source == target:
            _tell(f"note: source and target are the same: {source} (a domain is FILE#DOMAIN)")
        return both

    def read_or_draw(
        self, source: str | None, target: str | None, seed: int
    ) -> tuple[Interactions, Interactions]:
        """Both files, or synthetic catalogs where there are none."""
        if source is None or target is None:
            return _synthetic(seed)
        return self.read_both(source, target)

    def titles(self, path: str) -> dict[str, str]:
        """Titles of items by their ids as text."""
        from coldstart.datasets import read_titles

        found = read_titles(path, item=self.item, domain=self.domain)
        _tell(f"titles: {len(found)}")
        return found

    def _read(self, path: str, role: str) -> Interactions:
        from coldstart.datasets import read_interactions

        log = read_interactions(path, **vars(self))
        (users, items), merged = log.shape, log.repeated
        repeated = f", {merged} repeated pairs merged" if merged else ""
        _tell(f"{role}: {users} users x {items} items, {log.nnz} interactions{repeated}")
        return log


def _synthetic(seed: int) -> tuple[Interactions, Interactions]:
    from coldstart.datasets import make_cross_domain

    _tell(f"no --source and --target: synthetic catalogs of seed {seed}")
    source, target = make_cross_domain(rng=seed)
    return source, target
