"""The order of the layers: data flow one way, and `import coldstart` stays light.

Imports are read from the sources, those inside functions and under TYPE_CHECKING too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "coldstart": "coldstart",
    "coldstart.adapters": "adapters",
    "coldstart.datasets": "datasets",
}

# A module imports from its own layer, without going round in a circle, and from those above it.
# A folder is one word here, and stands for every module in it.
LAYERS = {
    "values": "errors locks threads vocabulary frames interactions foreign factors features prior",
    "data": "datasets",
    "factor models": "kernels basis equations covariance rows rowmap evidence als popularity "
    "ranking row_loss targets",
    "adapters": "adapters",
    "transfer": "anchors metrics statistics intervals effects seeds heldout strength decision gate "
    "transfer trials search tuning refine refine_trials refine_choice refine_serving",
    "front door": "provenance artefact serving answer export request plan fitted saved growth "
    "refit transfer_report warmstart",
    "measuring": "machine protocols arms results sitting pool standings findings groups "
    "saved_interactions sentence investigation conditions examples mixed_lists evaluation "
    "side_by_side race catchup agreement overlap map_evidence shift similarity twins hygiene "
    "verdict diagnosis_report diagnosis",
    "wiring": "asked tables report lists dataset_commands cli __main__ __init__",
}
# Factor models stand below the data and know nothing of how catalogs are read all the same.
BLIND = [*LAYERS["values"].split(), *LAYERS["factor models"].split()]
OUTER = ("coldstart.adapters", "coldstart.datasets")
HEAVY = {
    *("implicit", "lightfm", "numba", "numpy", "ot", "scipy", "sklearn"),
    *("hnswlib", "jinja2", "matplotlib", "narwhals", "pandas", "polars", "pooch", "pyarrow"),
    *("requests", "rich", "typer", "usearch"),
}
NAMES_THAT_SAY_NOTHING = {"common", "helper", "helpers", "misc", "shared", "util", "utils"}


def sources() -> dict[str, Path]:
    """`coldstart.prior` -> prior.py, `coldstart.adapters` -> adapters/__init__.py."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


def table() -> dict[str, int]:
    """Full name -> number of its layer; `__init__` stands for the package itself."""
    return {
        f"coldstart.{name}".removesuffix(".__init__"): number
        for number, names in enumerate(LAYERS.values())
        for name in names.split()
    }


def mentioned(tree: ast.AST, name: str, *, is_package: bool) -> Iterator[str]:
    """Dotted names of everything that the module `name` imports, wherever in its text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            climb = node.level - is_package
            base = name.split(".")[:-climb] if climb > 0 else name.split(".")
            start = ".".join([*base, *filter(None, [node.module])]) if node.level else node.module
            yield from (f"{start}.{alias.name}" for alias in node.names)


def imports(tree: ast.AST, name: str, known: set[str], *, is_package: bool = False) -> set[str]:
    """The project's modules that `name` imports: the longest known part of each dotted name."""
    found = set()
    for dotted in mentioned(tree, name, is_package=is_package):
        while dotted and dotted not in known:
            dotted = dotted.rpartition(".")[0]
        found.add(dotted)
    return found - {"", name}


SOURCES = sources()
TABLE = table()
IMPORTS = {
    name: imports(
        ast.parse(path.read_text(encoding="utf-8"), path.name),
        name,
        {*SOURCES, *TABLE},
        is_package=path.stem == "__init__",
    )
    for name, path in SOURCES.items()
}


def layer(name: str) -> int | None:
    """Number of the layer in which a module, or the folder it lies in, has its place."""
    return TABLE.get(".".join(name.split(".")[:2]))


def fresh_modules(statement: str, cwd: Path) -> set[str]:
    """What a new interpreter, started outside the project, has in `sys.modules` afterwards."""
    code = f"import sys; {statement}; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", SOURCES)
def test_every_module_has_its_place_in_the_table(name):
    assert layer(name) is not None, (
        f"{name} is in no layer: add it to LAYERS in tests/test_layers.py, "
        "in the highest line whose modules it does not need"
    )


@pytest.mark.parametrize("name", SOURCES)
def test_no_module_imports_upward(name):
    upward = {other for other in IMPORTS[name] if (layer(other) or 0) > (layer(name) or 0)}
    assert not upward, f"{name} imports {sorted(upward)}, which stand in a later layer"


def test_no_imports_go_round_in_a_circle():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


@pytest.mark.parametrize("word", BLIND)
def test_values_and_factor_models_import_neither_adapters_nor_datasets(word):
    outer = {other for other in IMPORTS.get(f"coldstart.{word}", ()) if other.startswith(OUTER)}
    assert not outer, f"coldstart.{word} imports {sorted(outer)}"


def test_every_folder_of_modules_is_installed():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    installed = setup["options"]["packages"].replace(",", " ").split()
    assert set(installed) == {name for name, path in SOURCES.items() if path.stem == "__init__"}


def test_every_package_says_that_it_is_typed():
    assert all((ROOT / folder / "py.typed").is_file() for folder in FOLDERS.values())


def test_no_module_is_named_after_nothing():
    folders = (*FOLDERS.values(), "tests", "benchmarks")
    names = {path for folder in folders for path in (ROOT / folder).rglob("*.py")}
    vague = [str(path) for path in names if path.stem.strip("_") in NAMES_THAT_SAY_NOTHING]
    assert not vague, f"name them after what they hold: {vague}"


def test_importing_coldstart_loads_no_heavy_library(tmp_path):
    assert not fresh_modules("import coldstart", tmp_path) & HEAVY


@pytest.mark.parametrize("package", ["adapters", "datasets"])
def test_an_outer_folder_is_importable_under_its_installed_name_only(package, tmp_path):
    loaded = fresh_modules(f"import coldstart.{package}", tmp_path)
    assert f"coldstart.{package}" in loaded
    assert not loaded & {"adapters", "datasets"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import coldstart.b", {"coldstart.b"}),
        ("import coldstart.b as b, numpy", {"coldstart.b"}),
        ("from coldstart import b", {"coldstart.b"}),
        ("from coldstart import Name", {"coldstart"}),
        ("from coldstart.b import Name", {"coldstart.b"}),
        ("from . import b", {"coldstart.b"}),
        ("from .b import Name", {"coldstart.b"}),
        ("def f():\n    from coldstart import b", {"coldstart.b"}),
        ("if TYPE_CHECKING:\n    from coldstart.b import Name", {"coldstart.b"}),
        ("import numpy", set()),
    ],
)
def test_imports_are_found_in_every_spelling(source, expected):
    known = {"coldstart", "coldstart.a", "coldstart.b"}
    assert imports(ast.parse(source), "coldstart.a", known) == expected


def test_relative_imports_of_a_package_start_at_the_package():
    known = {"coldstart.adapters", "coldstart.adapters.base", "coldstart.prior"}
    tree = ast.parse("from . import base\nfrom ..prior import Prior")
    found = imports(tree, "coldstart.adapters", known, is_package=True)
    assert found == {"coldstart.adapters.base", "coldstart.prior"}
