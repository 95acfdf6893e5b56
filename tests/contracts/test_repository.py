"""The repository keeps its own rules: size, length, docstrings, no machine's paths, no unsafe loaders, no open sockets."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20

TOTAL_LIMIT = 48 * MIB
FILE_LIMIT = 16 * MIB

BUDGET = {
    "starter weights": (20 * MIB, r"plugins/gesso_plugins/starter/(weights|preview_weights|evaluation)/"),
    "clip weights": (5_000_000, r"plugins/gesso_plugins/clip/weights/"),
    "maps weights": (3 * MIB, r"plugins/gesso_plugins/texture/.*\.safetensors$"),
    "style weights": (3 * MIB, r"plugins/gesso_plugins/style/.*\.safetensors$"),
    "weights of other families": (8_000_000, r"plugins/gesso_plugins/(dalle|unclip|vaegan)/.*\.safetensors$"),
    "other trained files": (MIB, r"plugins/.*\.(safetensors|npz)$"),
    "pictures": (8 * MIB, r".*\.(png|webp|jpg|jpeg|gif)$"),
    "code, tests and text": (
        8 * MIB,
        r".*\.(py|md|toml|json|txt|sh|yaml|yml|csv|tmpl)$|Makefile$|(.*/)?LICENSE$|\.gitignore$|\.ci/run$|.*py\.typed$",
    ),
}
"""What each category of tracked files may weigh; the first pattern that matches a path counts it."""

LONG_FILES: dict[str, str] = {}
"""Files over 400 lines, each with its reason."""

LONG_FUNCTIONS: dict[str, str] = {}
"""``path:function`` over 60 lines, each with its reason."""

UNSAFE = {
    r"\btorch\.load\(": "weights are safetensors",
    r"\bpickle\.loads?\(": "nothing is unpickled",
    r"\brecv_pyobj\b": "nothing is unpickled",
    r"trust_remote_code\s*=\s*True": "no code from a model file",
    r"tcp://\*": "never an open socket",
    r"tcp://0\.0\.0\.0": "never an open socket",
    r"\b(yaml\.load|marshal\.loads|shelve\.open)\(": "nothing is unpickled",
}

MACHINE_PATHS = r"(?<![\w.~-])/(work|root|home/(?!ann/)\w+|Users/(?!ann/)\w+)/[A-Za-z._]"
"""Ann is the person of our examples."""


@functools.cache
def tracked() -> tuple[str, ...]:
    """Paths of tracked and newly written files that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return tuple(sorted(path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()))


def text_files() -> list[str]:
    suffixes = (".py", ".md", ".toml", ".json", ".sh", ".yaml", ".yml", ".txt")
    return [path for path in tracked() if path.endswith(suffixes) or path in ("Makefile", ".ci/run")]


def sources() -> list[str]:
    return [path for path in tracked() if path.endswith(".py")]


def category(path: str) -> str | None:
    return next((name for name, (_, pattern) in BUDGET.items() if re.match(pattern, path)), None)


def test_the_tree_and_its_largest_file_stay_small() -> None:
    sizes = {path: (ROOT / path).stat().st_size for path in tracked()}
    assert sizes, "git listed nothing"
    assert sum(sizes.values()) < TOTAL_LIMIT
    assert {path: size for path, size in sizes.items() if size >= FILE_LIMIT} == {}


def test_every_file_belongs_to_a_category_within_its_budget() -> None:
    spent = dict.fromkeys(BUDGET, 0)
    homeless = []
    for path in tracked():
        name = category(path)
        if name is None:
            homeless.append(path)
        else:
            spent[name] += (ROOT / path).stat().st_size
    assert homeless == [], "add these kinds of file to BUDGET"
    assert {name: size for name, size in spent.items() if size > BUDGET[name][0]} == {}


@pytest.mark.parametrize("pattern", UNSAFE, ids=UNSAFE.values())
def test_no_unsafe_loader_or_open_socket(pattern: str) -> None:
    found = [
        f"{path}:{number}"
        for path in sources()
        if path != "tests/contracts/test_repository.py"
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], UNSAFE[pattern]


def test_the_unsafe_patterns_find_what_they_are_for() -> None:
    culprits = ["torch.load(path)", "pickle.loads(data)", "socket.recv_pyobj()", "f(trust_remote_code=True)", "'tcp://*:5555'"]
    culprits += ["'tcp://0.0.0.0:1'", "yaml.load(text)"]
    for culprit, pattern in zip(culprits, UNSAFE, strict=True):
        assert re.search(pattern, culprit)
    assert re.search(MACHINE_PATHS, "open('/" + "home/somebody/file')")


def test_no_path_of_a_machine() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in text_files()
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if re.search(MACHINE_PATHS, line)
    ]
    assert found == []


def test_no_file_is_over_400_lines_without_a_reason() -> None:
    long = {path for path in sources() if (ROOT / path).read_text(encoding="utf-8").count("\n") > 400}
    assert long == set(LONG_FILES)


def test_no_function_is_over_60_lines_without_a_reason() -> None:
    long = set()
    for path in sources():
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (node.end_lineno or 0) - node.lineno >= 60:
                long.add(f"{path}:{node.name}")
    assert long == set(LONG_FUNCTIONS)


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in sources() if not ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))]
    assert silent == []


def test_no_unfinished_marks() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    found = [
        path
        for path in sources()
        if path != "tests/contracts/test_repository.py" and marks.search((ROOT / path).read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_exception_is_swallowed() -> None:
    found = []
    for path in sources():
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            if broad and all(isinstance(part, (ast.Pass, ast.Continue)) for part in node.body):
                found.append(f"{path}:{node.lineno}")
    assert found == []
