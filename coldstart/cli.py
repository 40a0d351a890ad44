"""The command line: ``coldstart evaluate``, ``coldstart fit`` and ``coldstart recommend``.

Results go to stdout, progress and notes to stderr. The exit code is 0 when a command did its work,
1 when data or files made it fail, 2 for wrong usage and 130 when it was interrupted; the reason is
one line on stderr. Everything heavy is imported by the command that needs it, so that ``--help`` is
quick.
"""

from __future__ import annotations

import math
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer
from typer.core import TyperGroup

from coldstart.errors import ColdstartError, DataError, UnknownIdError

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from coldstart.interactions import Interactions
    from coldstart.results import Comparison, Results, Row
    from coldstart.vocabulary import Vocabulary
    from coldstart.warmstart import WarmStart

__all__ = ["app", "main"]

IDS_AT_ONCE = 10_000  # served and written in one go, which bounds the memory

_INTERRUPTED = 130
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")

Side = Literal["users", "items"]
_SOURCE = typer.Option(metavar="PATH[#DOMAIN]", help="Log of the rich catalog: CSV, TSV, Parquet.")
_TARGET = typer.Option(metavar="PATH[#DOMAIN]", help="Log of the new catalog.")
_SIDE = typer.Option(help="Whose embeddings are mapped.")
_FACTORS = typer.Option(min=1, help="Width of the embeddings.")
_SEED = typer.Option(min=0, help="Of the split and of the models.")
_LENGTH = typer.Option("--n", min=1, help="Length of the lists.")
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


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="coldstart")


@app.command()
def evaluate(
    source: Annotated[str | None, _SOURCE] = None,
    target: Annotated[str | None, _TARGET] = None,
    side: Annotated[Side, _SIDE] = "users",
    protocol: Annotated[Literal["cold"], typer.Option(help="What held-out people lose.")] = "cold",
    shots: Annotated[
        str, typer.Option(metavar="K,K,...", help="Interactions that held-out people get back.")
    ] = "0,1,2,5",
    arms: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="Arms to compare; all by default.")
    ] = None,
    factors: Annotated[int, _FACTORS] = 64,
    n: Annotated[int, _LENGTH] = 10,
    metric: Annotated[str, typer.Option(help="ndcg, recall, mrr or hit_rate.")] = "ndcg",
    order: Annotated[
        Literal["auto", "time", "random"],
        typer.Option(help="In which interactions come back; auto: by time where there is any."),
    ] = "auto",
    holdout: Annotated[float, typer.Option(help="Share of the anchors that are tested.")] = 0.2,
    seed: Annotated[int, _SEED] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write results.json in.")
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
    if (source is None) != (target is None):
        raise ValueError("expected both --source and --target or neither, got one of them")
    returned = _integers(shots, "--shots")
    if out is not None:
        _check_folder(out)

    from coldstart.evaluation import DEFAULT_ARMS
    from coldstart.evaluation import evaluate as measure

    columns = _Columns(user, item, weight, timestamp, domain)
    logs = (
        columns.read_both(source, target)
        if source is not None and target is not None
        else _synthetic(seed)
    )
    results = measure(
        *logs,
        side=side,
        protocol=protocol,
        shots=returned,
        arms=DEFAULT_ARMS if arms is None else [name.strip() for name in arms.split(",")],
        factors=factors,
        n=n,
        metric=metric,
        rng=seed,
        test_share=holdout,
        order=order,
        num_threads=threads,
        show_progress=sys.stderr.isatty(),
    )
    _show(results)
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
    from coldstart.artefact import _replaceable_files
    from coldstart.warmstart import WarmStart

    _replaceable_files(out)
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
        typer.Option(metavar="FILE", help="CSV, TSV or Parquet by its suffix; else CSV on stdout."),
    ] = None,
    user: Annotated[str, _USER] = "user",
    item: Annotated[str, _ITEM] = "item",
    domain: Annotated[str, _DOMAIN] = "domain",
    threads: Annotated[int, _THREADS] = 0,
    _debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Rank the catalog for each of the ids, without what they have seen."""
    if out is not None:
        _check_lists(out)

    from coldstart.datasets import read_interactions
    from coldstart.warmstart import WarmStart

    warm = WarmStart.load(model)
    warm.num_threads = threads
    sides: tuple[Side, Side] = ("items", "users") if audience else ("users", "items")
    query, catalog = map(warm.ids, sides)
    told: dict[Any, list[Any]] = {}
    with _naming(ids):
        found = _as_in(query, _read_ids(ids, item if audience else user))
        wanted = list(dict.fromkeys(found))
    if history is not None:
        log = read_interactions(history, user=user, item=item, domain=domain)
        with _naming(history):
            told = _histories(log.T if audience else log, query, catalog)
            told = _of_those_asked(told, wanted, catalog, missing)
    with _naming(ids):
        strangers = [key for key in wanted if key not in query and not told.get(key)]
        _report_unknown(strangers, len(wanted), "are served what is popular", missing)
    _Lists(warm, sides, wanted, told, n, missing).write(out)


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


def _integers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{option}: expected integers separated by commas, got {text!r}") from None


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


def _check_lists(path: Path) -> None:
    if path.suffix.lower() not in (*_SEPARATORS, ".parquet"):
        raise ValueError(f"--out: expected a file ending in .csv, .tsv or .parquet, got {path}")
    if path.is_dir():
        raise ColdstartError(f"cannot write {path}: there is a folder of that name")
    _check_folder(path.parent)


@dataclass(frozen=True)
class _Columns:
    """How the columns of both logs are named."""

    user: str
    item: str
    weight: str | None
    timestamp: str | None
    domain: str

    def read_both(self, source: str, target: str) -> tuple[Interactions, Interactions]:
        return self._read(source, "source"), self._read(target, "target")

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


def _show(results: Results) -> None:
    """Print the tables; where no terminal limits it, a line is as long as it must be."""
    from rich.console import Console

    config = results.config
    width = None if sys.stdout.isatty() else 200
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False)
    console.print(
        f"{config['metric']}@{config['n']} in percent with 95% intervals, "
        f"{config['test']} held-out {config['side']}; * learns from the source"
    )
    console.print(_means(results))
    if results.comparisons:
        console.print(
            "difference to the best arm without a source, in points; "
            "p of sign flips, corrected over arms (Holm)"
        )
        console.print(_differences(results))


def _empty_table(left: Sequence[str], right: Sequence[str]) -> Table:
    """Words on the left, numbers on the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in left:
        table.add_column(column)
    for column in right:
        table.add_column(column, justify="right")
    return table


def _means(results: Results) -> Table:
    """Arms as rows, shots as columns, the best of every column in bold."""
    from rich.text import Text

    config = results.config
    rows = {(row.arm, row.shots): row for row in results.rows if row.metric == config["metric"]}
    best = {
        k: max((rows[arm, k].mean for arm in config["arms"]), default=0.0) for k in config["shots"]
    }
    table = _empty_table(["arm"], ["1 shot" if k == 1 else f"{k} shots" for k in config["shots"]])
    for arm in config["arms"]:
        name = f"{arm} *" if config["uses_source"][arm] else arm
        line = [rows[arm, k] for k in config["shots"]]
        table.add_row(
            Text(name),
            *(
                Text(_cell(row.mean, row), style="bold" if row.mean == best[row.shots] else "")
                for row in line
            ),
        )
    return table


def _differences(results: Results) -> Table:
    """Every arm against the best one without a source, one section for each number of shots."""
    from rich.text import Text

    config = results.config
    table = _empty_table(["shots", "arm", "against"], ["difference", "p"])
    for k in config["shots"]:
        for row in results.comparisons:
            if (row.shots, row.metric) == (k, config["metric"]):
                difference = _cell(row.difference, row, sign="+")
                p = "-" if math.isnan(row.p_holm) else f"{row.p_holm:.2g}"
                cells = str(k), row.arm, row.baseline, difference, p
                table.add_row(*map(Text, cells))
        table.add_section()
    return table


def _cell(value: float, row: Row | Comparison, *, sign: str = "") -> str:
    """A share in percent and its interval; a dash where nobody had anything left to find."""
    if math.isnan(value):
        return "-"
    return f"{100 * value:{sign}.1f} [{100 * row.ci_low:.1f},{100 * row.ci_high:.1f}]"


def _read_ids(path: Path, column: str) -> list[Any]:
    """Ids in the order of a file: of a column of a table, else one per line."""
    from coldstart import frames
    from coldstart.datasets.files import _table as read_table

    if path.name.lower().endswith(_TABLES):
        table = frames.opened(read_table(path, [column], None), [column])
        return list(frames.ids(table, column).tolist())
    try:
        with path.open(encoding="utf-8-sig") as lines:
            found = [line.rstrip("\n") for line in lines if line != "\n"]
    except UnicodeDecodeError as error:
        raise DataError(f"the file is not UTF-8 ({error.reason})") from None
    if not found:
        raise DataError("the file is empty")
    return found


def _as_in(known: Vocabulary, ids: Sequence[Any]) -> list[Any]:
    """Turn text into what the ids of the model are."""
    if isinstance(ids[0], str):
        return known.parse(ids)
    if known.kind == "str":
        raise DataError(
            f"ids are integers, such as {ids[0]}, but strings in the model, such as "
            f"{next(iter(known))!r}: convert one of them"
        )
    return list(ids)


@contextmanager
def _naming(path: object) -> Iterator[None]:
    """Say in which file something was wrong."""
    try:
        yield
    except ColdstartError as error:
        raise type(error)(f"{path}: {error}") from None


def _histories(log: Interactions, query: Vocabulary, catalog: Vocabulary) -> dict[Any, list[Any]]:
    """The interactions of each id of the query side."""
    rows, columns = _as_in(query, list(log.users)), _as_in(catalog, list(log.items))
    limits = log.user_items.indptr
    return {
        row: [columns[place] for place in log.user_items.indices[begin:end]]
        for row, begin, end in zip(rows, limits[:-1], limits[1:], strict=True)
    }


def _of_those_asked(
    histories: Mapping[Any, list[Any]], ids: Iterable[Any], catalog: Vocabulary, missing: str
) -> dict[Any, list[Any]]:
    """Leave out the histories of others, and say so."""
    asked = {key: histories[key] for key in ids if key in histories}
    if len(asked) < len(histories):
        _tell(f"history of {len(histories) - len(asked)} ids left out: they are not asked for")
    others = {other for history in asked.values() for other in history}
    unknown = sorted(other for other in others if other not in catalog)
    _report_unknown(unknown, len(others), "are left out of the history", missing)
    return asked


def _report_unknown(unknown: Sequence[Any], total: int, otherwise: str, missing: str) -> None:
    if not unknown:
        return
    count = f"{len(unknown)} of {total} ids unknown to the model, such as {unknown[0]!r}"
    if missing == "raise":
        raise UnknownIdError(f"{count}: take them out, or pass --missing popular")
    _tell(f"{count}: they {otherwise}")


@dataclass(frozen=True)
class _Lists:
    """Ranked lists of many ids, made block by block; `sides` is what comes in and what goes out."""

    warm: WarmStart
    sides: tuple[Side, Side]
    ids: Sequence[Any]
    history: Mapping[Any, list[Any]]
    n: int
    missing: Literal["raise", "popular"]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        from tqdm import tqdm

        answer = self.warm.recommend if self.sides[0] == "users" else self.warm.audience
        starts = range(0, len(self.ids), IDS_AT_ONCE)
        for start in tqdm(starts, desc="blocks of ids", disable=not sys.stderr.isatty()):
            block = self.ids[start : start + IDS_AT_ONCE]
            told = {key: self.history[key] for key in block if key in self.history}
            yield self._frame(block, *answer(block, self.n, history=told, missing=self.missing))

    def _frame(self, block: Sequence[Any], found: Any, scores: Any) -> pl.DataFrame:
        """One row for each place of each list, without padding."""
        import numpy as np
        import polars as pl

        kinds = {"int": pl.Int64, "str": pl.String}
        ids, others = (kinds[self.warm.ids(side).kind] for side in self.sides)
        lists, places = np.nonzero(scores > -np.inf)
        asked, given = (side.removesuffix("s") for side in self.sides)
        return pl.DataFrame(
            {
                asked: pl.Series([block[row] for row in lists.tolist()], dtype=ids),
                "rank": pl.Series(places + 1, dtype=pl.Int32),
                given: pl.Series(found[lists, places].tolist(), dtype=others),
                "score": pl.Series(scores[lists, places], dtype=pl.Float32),
            }
        )

    def write(self, path: Path | None) -> None:
        """Write a file, which gets its name when it is whole; CSV on stdout without one."""
        from polars.exceptions import PolarsError

        if path is None:
            self._write_text(sys.stdout.buffer, ",")
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=path.parent, prefix=".coldstart-") as folder:
                whole = Path(folder, "whole")
                self._write_whole(whole, path.suffix.lower())
                os.replace(whole, path)
        except (OSError, PolarsError) as error:
            raise ColdstartError(f"cannot write {path}: {error}") from None

    def _write_whole(self, path: Path, suffix: str) -> None:
        if suffix == ".parquet":
            self._write_parquet(path)
            return
        with path.open("wb") as file:
            self._write_text(file, _SEPARATORS[suffix])

    def _write_text(self, file: BinaryIO, separator: str) -> None:
        for number, frame in enumerate(self):
            text = frame.write_csv(include_header=number == 0, separator=separator)
            file.write(text.encode())
        file.flush()

    def _write_parquet(self, path: Path) -> None:
        import polars as pl

        parts = []
        for number, frame in enumerate(self):
            parts.append(path.with_name(f"{number}.parquet"))
            frame.write_parquet(parts[-1])
        pl.scan_parquet(parts).sink_parquet(path)
