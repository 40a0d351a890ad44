"""Saved models under attack: killed while they are saved, and changed on the disk.

    python benchmarks/artefacts.py

writes `benchmarks/results/artefacts.json`.

`kills`: a child process saves two models into one folder, in turns; it is killed at a random
moment, and the folder is loaded: it must answer as one of the two. `mutations`: a copy of a saved
model is changed in one way (bits flipped, files cut, extended, removed or swapped, manifests
edited) and loaded in a process whose memory is bounded: it must be refused with one line of
`ArtefactError`, or answer as before. Loaded with `mmap`, `verify` comes first. `forgeries`: arrays
or values are changed by somebody who renews every hash. Then the folder is another model: it may be
refused or loaded, but nothing may crash, hang or run. `size`: bytes of the folder over those of the
arrays in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from provenance import provenance

from coldstart import Interactions, PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.artefact import digest_of, read_artefact
from coldstart.datasets import make_cross_domain
from coldstart.errors import ArtefactError

RESULTS = Path(__file__).parent / "results" / "artefacts.json"
MEMORY = 3 * 2**30  # address space of a process that loads what was changed
LONGEST = 20.0  # seconds for a load, after which it counts as hanging


def small_model(seed: int = 0, factors: int = 4) -> WarmStart:
    """A warm start that is fitted in a moment."""
    source, target = make_cross_domain(
        60, 24, 20, source_interactions=6, target_interactions=4, factors=3, rng=seed
    )
    model = PriorALS(factors, alpha=5.0, iterations=2, rng=0, num_threads=1)
    warm = WarmStart(model, RidgeAdapter(1.0, normalize=True), strength=2.0, gate=False, rng=0)
    return warm.fit(source, target)


def grown_model() -> WarmStart:
    """A small one with all that can be in a folder: refitted, and updated after that."""
    warm = small_model()
    users, items = (list(warm.ids(side)) for side in ("users", "items"))

    def pairs(who: list[str], what: list[str]) -> Interactions:
        return Interactions.from_csr(sp.identity(len(who), format="csr"), users=who, items=what)

    warm.refit(pairs(users[:9], items[:9]))
    return warm.update(pairs([*users[5:8], "new"], items[-4:]))


def answers(warm: WarmStart) -> tuple[Any, Any]:
    """Lists of everybody."""
    ids, scores = warm.recommend(sorted(warm.ids("users")), 5)
    return ids.tolist(), scores.tolist()


def kill_saves(times: int, seed: int = 0) -> Counter[str]:
    """Kill so many saves at random moments, and count what is left."""
    models = [small_model(0), small_model(1)]
    expected = [answers(model) for model in models]
    rng, found = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "model")
        models[0].save(place)
        began = time.perf_counter()
        models[1].save(place)
        usual = time.perf_counter() - began
        for _ in range(times):
            child = multiprocessing.get_context("fork").Process(
                target=_save_in_turns, args=(models, place)
            )
            child.start()
            time.sleep(rng.uniform(0, 4 * usual))
            os.kill(child.pid, signal.SIGKILL)  # type: ignore[arg-type]
            child.join()
            loaded = answers(WarmStart.load(place))
            found["first" if loaded == expected[0] else "second"] += 1
            assert loaded in expected
    return found


def _save_in_turns(models: list[WarmStart], place: Path) -> None:
    while True:
        for model in models:
            model.save(place)


Mutation = Callable[[Path, random.Random], str]


def _arrays(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def _flip(folder: Path, rng: random.Random) -> str:
    path = rng.choice(sorted(folder.iterdir()))
    raw = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 8, 64])):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)
    return "bits flipped"


def _flip_header(folder: Path, rng: random.Random) -> str:
    path = rng.choice(_arrays(folder))
    raw = bytearray(path.read_bytes())
    raw[rng.randrange(min(128, len(raw)))] = rng.randrange(256)
    path.write_bytes(raw)
    return "header changed"


def _cut(folder: Path, rng: random.Random) -> str:
    path = rng.choice(sorted(folder.iterdir()))
    os.truncate(path, rng.randrange(path.stat().st_size))
    return "cut"


def _extend(folder: Path, rng: random.Random) -> str:
    path = rng.choice(_arrays(folder))
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.randint(1, 64)))
    return "extended"


def _remove(folder: Path, rng: random.Random) -> str:
    rng.choice(sorted(folder.iterdir())).unlink()
    return "removed"


def _swap(folder: Path, rng: random.Random) -> str:
    one, two = rng.sample(_arrays(folder), 2)
    raw = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(raw)
    return "swapped"


def _replace(folder: Path, rng: random.Random) -> str:
    """Something that is no regular file."""
    path = rng.choice(sorted(folder.iterdir()))
    path.unlink()
    kind = rng.choice(["folder", "fifo", "device", "loop"])
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path.name)
    return f"a {kind}"


STRANGE = (
    *(None, True, -1, 0, 2**31, 10**30, 1e308, float("nan"), "", "x" * 9, "../../etc/passwd"),
    *([], {}, [[]], [1, "a", None], {"a": {}}, "|O", "<f8", [10**9, 10**9], "os.system"),
)


def _edit(folder: Path, rng: random.Random, *, signed: bool) -> str:
    """One value of the manifest, anywhere in it."""
    path = folder / "manifest.json"
    whole = json.loads(path.read_text())
    here: Any = whole
    while True:
        key = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        inside = here[key]
        if isinstance(inside, dict | list) and inside and rng.random() < 0.85:
            here = inside
            continue
        if rng.random() < 0.3 and isinstance(here, dict):
            del here[key]
        else:
            here[key] = rng.choice(STRANGE)
        break
    if signed:
        whole["digest"] = digest_of(whole)
    path.write_text(json.dumps(whole))
    return "manifest edited and signed" if signed else "manifest edited"


def _forge(folder: Path, rng: random.Random) -> str:
    """Another array under a right name and a right digest."""
    manifest = folder / "manifest.json"
    whole = json.loads(manifest.read_text())
    name = rng.choice(sorted(whole["arrays"]))
    entry = whole["arrays"][name]
    path = folder / entry["file"]
    values = np.load(path)
    change = rng.choice(["nan", "negative", "shape", "dtype", "huge"])
    if change == "nan" and values.dtype.kind == "f" and values.size:
        values.flat[rng.randrange(values.size)] = np.nan
    elif change == "negative" and values.size and values.dtype.kind != "b":
        values.flat[rng.randrange(values.size)] = np.asarray(-7).astype(values.dtype)
    elif change == "shape":
        values = values[: len(values) // 2] if values.ndim else values.reshape(1)
    elif change == "dtype":
        values = values.astype(rng.choice(["<f8", "<i8", "|b1", "<c16"]))
    elif values.size:
        values.flat[-1] = np.asarray(2**30).astype(values.dtype)
    path.unlink()
    np.save(path, values)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = f"{path.stem.rpartition('-')[0]}-{digest[:16]}.npy"
    path.rename(folder / file)
    entry |= {"file": file, "sha256": digest}
    if entry["dtype"] != "str":
        entry |= {"dtype": values.dtype.str, "shape": list(values.shape)}
    whole["digest"] = digest_of(whole)
    manifest.write_text(json.dumps(whole))
    return f"forged: {change}"


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _flip_header, _cut, _extend, _remove, _swap, _replace),
    lambda f, r: _edit(f, r, signed=False),
)
FORGERIES: tuple[Mutation, ...] = (_forge, lambda f, r: _edit(f, r, signed=True))


def mutate(
    times: int, ways: tuple[Mutation, ...] = MUTATIONS, *, seed: int = 0, bounded: bool = True
) -> dict[str, Counter[str]]:
    """Change a saved model so many times, and count what comes of it."""
    found: dict[str, Counter[str]] = {}
    fine = (*FINE, CHANGED) if ways is FORGERIES else FINE
    warm = grown_model()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        warm.save(whole)
        expected = answers(warm)
        for number in range(times):
            place = Path(folder, "changed")
            shutil.copytree(whole, place)
            how = ways[number % len(ways)](place, random.Random(f"{seed} {number}"))
            result = _apart(place, expected) if bounded else outcome(place, expected)
            found.setdefault(how, Counter())[result] += 1
            assert result in fine, f"{how} (number {number} of seed {seed}): {result}"
            shutil.rmtree(place)
    return found


FINE = ("refused in one line", "answers as before")
CHANGED = "answers what the forger wrote"


def outcome(place: Path, expected: Any) -> str:
    """What comes of loading a folder, mapped and not."""
    results = {_outcome(place, expected, mmap=mmap) for mmap in (False, True)}
    return results.pop() if len(results) == 1 else f"mapped and not differ: {sorted(results)}"


def _outcome(place: Path, expected: Any, *, mmap: bool) -> str:
    try:
        if mmap:
            WarmStart.verify(place)
        loaded = answers(WarmStart.load(place, mmap=mmap))
    except ArtefactError as error:
        return "refused in one line" if "\n" not in str(error) else f"many lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "answers as before" if loaded == expected else CHANGED


def _apart(place: Path, expected: Any) -> str:
    """The same in a process of its own, of bounded memory and time."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        theirs.send(outcome(place, expected))

    process = context.Process(target=child)
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LONGEST) else "hangs"
    except EOFError:
        return "crashed"
    finally:
        process.kill()
        process.join()


def sizes(people: int = 10_000) -> dict[str, float]:
    """Bytes of a folder over those of its arrays, of a usual and of a tiny model."""
    found = {}
    source, target = make_cross_domain(people, people // 2, people // 3, factors=8, rng=0)
    model = PriorALS(64, iterations=2, rng=0)
    usual = WarmStart(model, RidgeAdapter(1.0, normalize=True), strength=2.0, gate=False, rng=0)
    for name, warm in (("usual", usual.fit(source, target)), ("tiny", small_model())):
        with tempfile.TemporaryDirectory() as folder:
            warm.save(folder)
            arrays = read_artefact(folder)[0].values()
            held = sum(
                sum(len(s.encode()) for s in a.tolist()) if a.dtype == object else a.nbytes
                for a in arrays
            )
            written = sum(path.stat().st_size for path in Path(folder).iterdir())
        found |= {f"{name} bytes": written, f"{name} over arrays": round(written / held, 4)}
    return found


def main() -> None:
    """Run all of it and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--forgeries", type=int, default=500)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    study: dict[str, Any] = {**provenance(), "size": sizes()}
    for name, times, ways in (
        ("mutations", options.mutations, MUTATIONS),
        ("forgeries", options.forgeries, FORGERIES),
    ):
        study[name] = {how: dict(c) for how, c in sorted(mutate(times, ways).items())}
    study["kills"] = dict(kill_saves(options.kills))
    options.out.write_text(json.dumps(study, indent=1) + "\n")
    print(json.dumps(study, indent=1))


if __name__ == "__main__":
    main()
