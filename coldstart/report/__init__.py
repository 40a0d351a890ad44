"""The report of an evaluation: one page that needs nothing else, for those who did not run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from coldstart.report.page import context
from coldstart.results import Results, replaced

__all__ = ["render", "write_report"]

_NAME = "report.html"


def render(results: Results | Mapping[str, Any]) -> str:
    """The page as HTML: the same for the same results, to the byte.

    Parameters
    ----------
    results : Results or mapping
        Or the content of a ``results.json``, which may be older: sections without data say why
        they are empty, or are left out.
    """
    values = results.to_json() if isinstance(results, Results) else results
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return _template().render(style=Markup(style), **context(values))  # our own


def write_report(results: Results | Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into `folder`, which is made; an older one is replaced at once, or not
    at all.
    """
    page = render(results)
    path = Path(folder) / _NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", newline="\n")
    return path


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("coldstart.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
