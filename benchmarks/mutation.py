"""Break the program in small ways, one at a time, and count how often its tests notice.

    .venv/bin/uv pip install --python .venv/bin/python cosmic-ray
    .venv/bin/python benchmarks/mutation.py --mutants 150 --output benchmarks/figures/mutation.json

The mutants are cosmic-ray's.  Its own runner has one test command for all modules and no samples;
the sample, the tests of each module and the count are made here.  mutmut puts trampolines in place
of functions, which numba cannot compile.

Mutants are made in a copy of the last commit, never in the tree itself, and tried with the tests
that mirror their module.  A failing test kills a mutant, and so does a run without end.  Every
place in the code is as likely as any other, however many mutants there are of it.  A survivor may
still do the same as the original.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

PACKAGE = Path("src/napari_diffraction")
ROOMS = ("crystal", "indexing", "analysis")
OUTCOMES = ("killed", "timed out", "survived", "not tried")
#: What the tests of the last mutant said.
SAID = "said.txt"
#: Not used: what any test notices at once, such as bits of floats, and what says nothing about
#: tests, such as functions that numba does not compile.
BITS = "(BitOr|BitAnd|BitXor|LShift|RShift)"
WITHOUT = re.compile(
    f"RemoveDecorator|Exception|NoOp|Variable|_{BITS}_(?!Bit|LSh|RSh)|(?<!Bit)_{BITS}$|_Is(Not)?(_|$)"
)


@dataclass(frozen=True)
class Mutant:
    """One change of one module; lines count from 1, columns from 0."""

    module: str
    operator: str
    occurrence: int
    line: int
    column: int

    @property
    def room(self) -> str:
        """The room that the module stands in."""
        return Path(self.module).relative_to(PACKAGE).parts[0]


def places_of(root: Path, module: str) -> Iterator[list[Mutant]]:
    """List the mutants of each place of a module, without those of annotations."""
    source = (root / module).read_text(encoding="utf-8")
    tree, passive = get_ast(source), annotations(source)
    found: dict[tuple[int, int], list[Mutant]] = {}
    for name in sorted(operator_names()):
        if WITHOUT.search(name) or get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        places = (place for node in ast_nodes(tree) for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(places):
            if not any(first <= start < last for first, last in passive):
                found.setdefault(start, []).append(Mutant(module, name, occurrence, *start))
    yield from found.values()


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Find where a module holds types, from (line, column) to (line, column)."""
    found: list[ast.AST | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            found.append(node.returns)
        elif isinstance(node, (ast.arg, ast.AnnAssign)):
            found.append(node.annotation)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found.append(node)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in found if n]


def tests_of(root: Path, module: str) -> list[str]:
    """Name the tests that mirror a module, the closest first.

    They are those of its folder, or of the nearest one above that has some, and those of its room
    that import it or bear its name.
    """
    path = Path(module).relative_to(PACKAGE)
    dotted = ".".join(("napari_diffraction", *path.with_suffix("").parts))
    room = sorted((root / "tests" / path.parts[0]).rglob("test_*.py"))
    folder = root / "tests" / path.parent
    near = sorted(folder.glob("test_*.py"))
    close = [test for test in room if path.stem in test.stem or dotted in test.read_text("utf-8")]
    return [str(test.relative_to(root)) for test in dict.fromkeys([*close, *near])] or [
        str(test.relative_to(root)) for test in room
    ]


def run_tests(root: Path, tests: list[str], limit: float | None, cache: str = "numba") -> str:
    """Run tests of the copy; what they say goes to a file, since a pipe may outlive a kill."""
    paths = {"PYTHONPATH": str(root / "src"), "NUMBA_CACHE_DIR": str(root / cache)}
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:xvfb"]
    command += ["--timeout=0", "--hypothesis-seed=0", *tests]
    with (root / SAID).open("w") as said:
        output = {"stdout": said, "stderr": subprocess.STDOUT}
        try:
            done = subprocess.run(
                command, cwd=root, env=os.environ | paths, timeout=limit, check=False, **output
            )
        except subprocess.TimeoutExpired:
            return "timed out"
    return "killed" if done.returncode else "survived"


def usual_time(root: Path, tests: list[str]) -> float | None:
    """Seconds that tests take on the unchanged program; ``None``: they fail there, twice."""
    for _ in range(2):
        began = time.monotonic()
        if run_tests(root, tests, None) == "survived":
            return time.monotonic() - began
        print(f"fails on the unchanged program:\n{(root / SAID).read_text()[-2000:]}", flush=True)
    return None


def attempt(root: Path, mutant: Mutant, limit: float) -> tuple[str, str]:
    """Try a mutant; say what became of it, and how its lines differ."""
    path = root / mutant.module
    source = path.read_text(encoding="utf-8")
    changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    # numba does not see that a function which a compiled one calls has changed
    cache = "anew" if "numba" in source else "numba"
    path.write_text(changed, encoding="utf-8")
    try:
        became = run_tests(root, tests_of(root, mutant.module), limit, cache)
    finally:
        path.write_text(source, encoding="utf-8")
        shutil.rmtree(root / "anew", ignore_errors=True)
    lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), n=0, lineterm="")
    shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return became, "\n".join(shown)


def main() -> None:
    """Draw a sample, try it, and count by room."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=150, help="how many are tried")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same sample")
    parser.add_argument("--limit", type=float, default=600, help="seconds over thrice the usual")
    parser.add_argument("--output", type=Path, help="a .json, written anew after each mutant")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        here = Path(__file__).parent.parent
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=here, text=True).strip()
        text = subprocess.check_output(["git", "archive", commit], cwd=here)
        subprocess.run(["tar", "-x", "-C", folder], input=text, check=True)
        paths = [p for room in ROOMS for p in sorted((root / PACKAGE / room).rglob("*.py"))]
        modules = [path.relative_to(root).as_posix() for path in paths]
        places = [place for module in modules for place in places_of(root, module)]
        rng = random.Random(wanted.seed)
        sample = [rng.choice(p) for p in rng.sample(places, min(wanted.mutants, len(places)))]
        print(f"{len(places)} places in {len(modules)} modules, {len(sample)} tried", flush=True)
        about = {"commit": commit, "seed": wanted.seed, "places": len(places)}
        try_all(root, sample, wanted.limit, about, wanted.output)


def try_all(
    root: Path, sample: list[Mutant], limit: float, about: dict[str, object], output: Path | None
) -> None:
    """Try mutants one after the other, tell what becomes of each, and count at the end."""
    results: list[dict[str, object]] = []
    usual: dict[str, float | None] = {}
    for number, mutant in enumerate(sample, 1):
        if mutant.module not in usual:
            usual[mutant.module] = usual_time(root, tests_of(root, mutant.module))
        seconds, became, change = usual[mutant.module], "not tried", ""
        if seconds is not None:
            became, change = attempt(root, mutant, limit + 3 * seconds)
        results.append(asdict(mutant) | {"room": mutant.room, "became": became, "change": change})
        print(f"{number:4} {became:9} {mutant.module}:{mutant.line}\n{change}", flush=True)
        if output:
            rooms = {room: Counter(of(results, room)) for room in ROOMS}
            text = about | {"tried": number, "rooms": rooms, "results": results}
            output.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    print(f"\n{'room':10}" + "".join(f"{name:>10}" for name in (*OUTCOMES, "score")))
    for room in (*ROOMS, "all"):
        count = Counter(of(results, room))
        noticed = count["killed"] + count["timed out"]
        score = f"{noticed / max(noticed + count['survived'], 1):.0%}"
        print(f"{room:10}" + "".join(f"{count[name]:10}" for name in OUTCOMES) + f"{score:>10}")


def of(results: list[dict[str, object]], room: str) -> list[object]:
    """What became of the mutants of a room, or of all."""
    return [one["became"] for one in results if room in (one["room"], "all")]


if __name__ == "__main__":
    main()
