"""Strangers' plugins as their owner meets them: real commands, a real daemon, plugins that misbehave in every way that was thought of."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SAMPLER = '''"""Half the way. And more."""
from gesso.plugin import sampler, schedule

@sampler("halfway", title="Halfway there", paper="none", aliases=("hw",))
def halfway(x, sigmas):
    yield x, sigmas[0]
    return x

@schedule("halving", title="By halves", paper="none")
def halving(parametrisation, steps):
    return [parametrisation.sigma_max / 2**i for i in range(steps)] + [0.0]
'''

OPERATION = """
import os, pathlib, sys
from pydantic import Field
from gesso.engine import Apply, Load, ModelRef
from gesso.media import Output
from gesso.plugin import OperationParams, hookimpl
from gesso.plugin.fields import ui

pathlib.Path(os.environ["GESSO_HOME"], "importers").open("a").write(f"{os.getpid()}\\n")

class Params(OperationParams):
    prompt: str = Field(title="Prompt", min_length=1, json_schema_extra=ui("prompt", 10, "prompt"))
    seed: int = Field(0, title="Seed", ge=0, json_schema_extra=ui("seed", 20, "sampling"))

class Swatch:
    \"\"\"Renders a small square of a material.\"\"\"
    name = "swatch"
    title = "Swatch"
    Params = Params
    def resolve(self, ctx, params):
        return params
    def run(self, ctx, params):
        if params.prompt == "exit":
            sys.exit(3)
        if params.prompt == "die":
            os._exit(3)
        if params.prompt == "raise":
            raise ValueError("no luck")
        card = ctx.model(None, capability="render")
        yield Load(ModelRef(card.name, card.digest))
        inputs = {"prompt": params.prompt, "width": 32, "height": 32, "seed": params.seed, "tile": "xy"}
        rendered = yield Apply(ModelRef(card.name, card.digest), "render", inputs)
        return [Output(rendered.pixels, "image", 0, params.seed, params.model_dump(mode="json"), card.name)]

@hookimpl
def gesso_operations(ctx):
    return [Swatch()]
"""


class Owner:
    """A user with a state directory and a folder of plugins."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `gesso` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "gesso", *words],
            cwd=self.folder,
            env={**os.environ, "GESSO_HOME": str(self.home), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def json(self, *words: str) -> Any:
        """Run `gesso ... --json`, which must succeed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def error(self, *words: str, **environ: str) -> Any:
        """Run `gesso ... --json`, which must fail."""
        done = self.run(*words, "--json", **environ)
        assert done.returncode != 0, done.stdout
        return json.loads(done.stdout)["error"]

    def write(self, name: str, source: str) -> str:
        """A plugin file in the folder."""
        (self.folder / name).write_text(source, encoding="utf-8")
        return name

    def states(self) -> dict[str, str]:
        """Plugin -> on, off or changed."""
        return {plugin["name"]: plugin["state"] for plugin in self.json("plugins", "list")["plugins"]}


@pytest.fixture
def owner(home: Path, tmp_path: Path) -> Iterator[Owner]:
    found = Owner(home, tmp_path)
    yield found
    if (home / "run/daemon.json").exists():
        found.run("stop")


DOCUMENT = Path(__file__).resolve().parents[2] / "docs/writing_samplers.md"


def documented(owner: Owner) -> list[list[str]]:
    """Writes the file that the page shows; its commands, without `gesso`."""
    text = DOCUMENT.read_text(encoding="utf-8")
    owner.write("midpoint_plugin.py", re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0])
    return [shlex.split(line)[1:] for line in re.findall(r"^    (gesso .*)$", text, re.MULTILINE)]


def test_the_sampler_of_the_documentation_is_added_as_it_says(owner: Owner) -> None:
    add, samplers, generate = documented(owner)
    assert owner.json(*add)["provides"] == {"samplers": ["midpoint_plugin.midpoint"]}
    (line,) = [line for line in owner.run(*samplers).stdout.splitlines() if line.startswith("midpoint_plugin.midpoint")]
    assert "Runge 1895" in line
    assert generate[generate.index("--sampler") + 1] == "midpoint_plugin.midpoint"


@pytest.mark.slow
def test_the_sampler_of_the_documentation_makes_a_picture(owner: Owner) -> None:
    add, _, generate = documented(owner)
    assert owner.run(*add).returncode == 0
    made = owner.run(*generate, "--seed", "1", "-o", "a.png")
    assert made.returncode == 0, made.stderr
    (shown,) = [owner.json("show", "a.png")]
    assert "midpoint_plugin.midpoint" in json.dumps(shown)


def test_a_file_with_bare_specs_is_added_listed_turned_off_and_on(owner: Owner) -> None:
    told = owner.json("plugins", "add", owner.write("my_sampler.py", SAMPLER))
    assert told["provides"] == {"samplers": ["my_sampler.halfway"], "schedules": ["my_sampler.halving"]}
    info = owner.json("plugins", "info", "my_sampler")
    assert (info["state"], info["summary"], len(info["sha256"])) == ("on", "Half the way", 64)
    assert "my_sampler.halfway" in [entry["name"] for entry in owner.json("samplers")["samplers"]]
    assert owner.json("plugins", "disable", "my_sampler")["state"] == "off"
    assert "my_sampler.halfway" not in [entry["name"] for entry in owner.json("samplers")["samplers"]]
    assert owner.json("plugins", "enable", "my_sampler")["state"] == "on"
    (owner.home / "plugins/my_sampler.py").write_text(SAMPLER + "# changed\n", encoding="utf-8")
    assert owner.states()["my_sampler"] == "changed"
    assert "my_sampler.halfway" not in [entry["name"] for entry in owner.json("samplers")["samplers"]]
    assert "has changed since it was enabled" in owner.run("plugins", "list").stderr
    assert "has changed" in next(f["finding"] for f in owner.json("doctor")["findings"] if f["check"] == "plugins")
    assert owner.json("plugins", "enable", "my_sampler")["state"] == "on"
    assert owner.states()["my_sampler"] == "on"


MANY = '''"""Several kinds in one file, none with a hook."""
from gesso.plugin import command, request_filter, scorer, upscaler

@command("greet", help="Say hello, 100% of the time.")
def greet(words):
    print("hello", *words)
    return 7

@scorer("flat", title="Flat", paper="none")
def flat(ctx):
    yield from ()
    return [0.5 for _ in ctx.pictures]

@upscaler("twice", title="Twice", paper="none")
def twice(ctx):
    yield from ()
    return ctx.pixels.repeat(ctx.scale, axis=0).repeat(ctx.scale, axis=1)

@request_filter("quiet", title="Quiet")
def quiet(ctx):
    return None
'''


def test_a_file_may_add_commands_scorers_upscalers_and_filters(owner: Owner) -> None:
    told = owner.json("plugins", "add", owner.write("many.py", MANY))
    kinds = {"commands": ["many.greet"], "scorers": ["many.flat"], "upscalers": ["many.twice"], "filters": ["many.quiet"]}
    assert told["provides"] == kinds
    assert "many.twice" in owner.run("upscalers").stdout
    assert "many.flat" in owner.run("scorers").stdout
    assert "many.quiet" in owner.run("filters").stdout
    assert "Say hello, 100% of the time." in owner.run("--help").stdout
    greeted = owner.run("many.greet", "--you", "there")
    assert (greeted.returncode, greeted.stdout) == (7, "hello --you there\n")
    (owner.home / "plugins/many.py").write_text(MANY + "print('changed')\n", encoding="utf-8")
    refused = owner.run("many.greet")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "has changed since it was enabled" in refused.stderr
    assert owner.json("plugins", "remove", "many")["state"] == "removed"
    assert "many" not in owner.states()
    assert not (owner.home / "plugins/many.py").exists()
    assert owner.error("plugins", "remove", "many")["code"] == "plugin"
    assert "ships with Gesso" in owner.error("plugins", "remove", "samplers")["message"]


HOOK = "from gesso.plugin import hookimpl, sampler\n"
BROKEN = {
    "raises": ("raise ValueError('no luck')", "ValueError: no luck"),
    "syntax": ("def (", "SyntaxError"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit"),
    "dies": ("import os\nos._exit(3)", "ended the process that checked it (exit status 3)"),
    "loops": ("while True: pass", "was not imported within"),
    "hook": (HOOK + "@hookimpl\ndef gesso_samplers(ctx):\n    return 1 / 0", "gesso_samplers: ZeroDivisionError"),
    "argument": (HOOK + "@hookimpl\ndef gesso_samplers(colour):\n    return []", "colour"),
    "nothing": ("x = 1", "registers nothing"),
    "title": (SAMPLER.replace("Halfway there", "Euler"), "belongs to the sampler 'euler'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_not_taken_in(owner: Owner, name: str) -> None:
    source, said = BROKEN[name]
    limit = {"GESSO_PLUGIN_CHECK_SECONDS": "3"} if name == "loops" else {}
    error = owner.error("plugins", "add", owner.write(f"{name}.py", source), **limit)
    assert error["code"] == "plugin"
    assert repr(name) in error["message"]
    assert said in error["message"]
    assert not (owner.home / "plugins/plugins.json").exists()


def test_names_that_are_taken_or_no_names_are_refused(owner: Owner) -> None:
    assert "belongs to a plugin of Gesso" in owner.error("plugins", "add", owner.write("samplers.py", SAMPLER))["message"]
    assert owner.error("plugins", "add", owner.write("My-Sampler.py", SAMPLER))["code"] == "usage"
    assert "Did you mean samplers" in owner.error("plugins", "info", "sampler")["hint"]
    assert "always on" in owner.error("plugins", "enable", "samplers")["message"]


def test_hook_calls_are_traced(owner: Owner) -> None:
    source = HOOK + SAMPLER + "@hookimpl\ndef gesso_samplers(ctx):\n    return [halfway]\n"
    done = owner.run("plugins", "check", owner.write("traced.py", source), GESSO_TRACE_PLUGINS="1")
    assert "gesso: gesso_samplers: traced: 1 in " in done.stderr
    assert "traced is sound" in done.stderr


def test_a_running_daemon_takes_an_operation_in_and_outlives_what_it_does(owner: Owner) -> None:
    words = ("generate", "moss", "--model", "procedural", "--size", "32")
    assert owner.run(*words, "-o", "a/").returncode == 0
    status = owner.json("status")
    front, worker = status["pid"], status["workers"][0]["pid"]
    owner.json("plugins", "add", owner.write("tile.py", OPERATION))
    done = owner.run("tile.swatch", "moss", "--seed", "3", "-o", "b/")
    assert done.returncode == 0, done.stderr
    status = owner.json("status")
    assert (status["pid"], status["workers"][0]["pid"]) == (front, worker), "nothing was restarted"

    assert "ValueError: no luck" in owner.error("tile.swatch", "raise", "-o", "c/")["message"]
    assert owner.error("tile.swatch", "exit", "-o", "c/")["code"] == "plugin"
    assert owner.error("tile.swatch", "die", "-o", "c/")["code"] == "poisoned"
    assert owner.run("tile.swatch", "moss", "-o", "d/").returncode == 0
    assert owner.json("status")["pid"] == front

    owner.json("plugins", "disable", "tile")
    assert owner.run("tile.swatch", "moss", "-o", "e/").returncode == 2
    importers = {int(line) for line in (owner.home / "importers").read_text().split()}
    assert worker in importers
    assert front not in importers, "the front imports no plugin"


@pytest.mark.reliability
def test_a_plugin_that_ends_the_worker_at_import_is_found_out(owner: Owner) -> None:
    """It behaves while it is checked, and only then."""
    source = "import os, sys\nif 'gesso.plugin.check' not in str(sys.orig_argv): os._exit(7)\n" + SAMPLER
    owner.json("plugins", "add", owner.write("sly.py", source))
    owner.json("plugins", "add", owner.write("good.py", SAMPLER.replace("Halfway there", "Good")))
    done = owner.run("generate", "moss", "--model", "procedural", "--size", "32", "-o", "a/")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 10
    while owner.states()["sly"] != "off" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert owner.states()["sly"] == "off"
    assert owner.states()["good"] == "on"
    assert "ended the worker while it was imported" in owner.json("plugins", "info", "sly")["notice"]


@pytest.mark.reliability
def test_a_plugin_that_ends_the_worker_when_it_starts_is_found_out(owner: Owner) -> None:
    source = """
import os
from gesso.plugin import Lifecycle, hookimpl

class Early(Lifecycle):
    name, title = "early", "Early"
    def worker_started(self, ctx):
        yield from ()
        os._exit(7)

@hookimpl
def gesso_lifecycle(ctx):
    return [Early()]
"""
    owner.json("plugins", "add", owner.write("early.py", source))
    done = owner.run("generate", "moss", "--model", "procedural", "--size", "32", "-o", "a/")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 20
    while owner.states()["early"] != "off" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "ended the worker while it was started" in owner.json("plugins", "info", "early")["notice"]
