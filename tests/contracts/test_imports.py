"""What starting may load: `--help` and the client the standard library only, the front no heavy library. (Arrows: import-linter.)"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAVY = {"torch", "numpy", "scipy", "pydantic", "diffusers", "transformers", "PIL"}

PROBE = """
import json, sys
before = set(sys.modules)
{code}
print("\\n" + json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def modules_after(code: str) -> set[str]:
    """Top-level modules that running ``code`` in a fresh interpreter loads."""
    done = subprocess.run([sys.executable, "-c", PROBE.format(code=code)], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


def third_party(modules: set[str]) -> set[str]:
    return {name for name in modules if name not in sys.stdlib_module_names and name != "gesso"}


@pytest.mark.parametrize("words", ["--help", "--version", "generate --help", "jobs --help"])
def test_help_loads_the_standard_library_only(words: str) -> None:
    code = f"""
import gesso.cli
try:
    gesso.cli.main({words.split()!r})
except SystemExit:
    pass
"""
    loaded = modules_after(code)
    assert "gesso" in loaded
    assert third_party(loaded) == set()


@pytest.mark.parametrize("module", ["gesso", "gesso.errors", "gesso.manifest", "gesso.recipe", "gesso.wire", "gesso.client", "gesso.cli"])
def test_importing_it_loads_the_standard_library_only(module: str) -> None:
    loaded = third_party(modules_after(f"import {module}"))
    assert loaded <= ({"zmq"} if module == "gesso.client" else set())


def test_the_front_loads_no_heavy_library() -> None:
    loaded = modules_after("import gesso.daemon.main")
    assert "zmq" in loaded
    assert loaded & HEAVY == set()
    assert "gesso_plugins" not in loaded


@pytest.mark.parametrize("plugin", ["imaging", "texture"])
def test_parameters_of_operations_are_free_of_torch(plugin: str) -> None:
    loaded = modules_after(f"import gesso_plugins.{plugin}.params")
    assert "pydantic" in loaded
    assert loaded & {"torch", "numpy", "diffusers", "transformers"} == set()


def test_a_sampler_is_looked_at_without_what_operations_need(tmp_path: Path) -> None:
    """It is what an author waits for after every change of the file."""
    file, out = tmp_path / "mine.py", tmp_path / "report.json"
    file.write_text("from gesso.plugin import sampler\n\n@sampler('a', title='A', paper='none')\ndef a(x, sigmas):\n    yield\n")
    arguments = ["--out", str(out), "--name", "mine", "--file", str(file)]
    loaded = modules_after(f"from gesso.plugin import check\ncheck._bound_files = lambda: None\ncheck.main({arguments!r})")
    assert json.loads(out.read_text())["entry"]["provides"] == {"samplers": ["a"]}
    assert third_party(loaded) == {"pluggy", "gesso_single_mine"}


def test_the_probe_sees_a_heavy_import() -> None:
    assert "pydantic" in modules_after("import pydantic")


def test_only_plugin_py_knows_hooks() -> None:
    sources = sorted((ROOT / "plugins/gesso_plugins").rglob("*.py"))
    knowing = {path.relative_to(ROOT).as_posix() for path in sources if "hookimpl" in path.read_text(encoding="utf-8")}
    assert knowing
    assert {path for path in knowing if not path.endswith("/plugin.py")} == set()


def test_the_namespace_of_plugins_has_no_init() -> None:
    assert not (ROOT / "plugins/gesso_plugins/__init__.py").exists(), "a stranger's distribution could not add to it"
