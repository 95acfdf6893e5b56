"""Stranger's projects for tests of isolation: a small library in two versions that do not agree, and plugins that pin one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
{points}
[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""

PLUGIN = '''
import os, sys
from itertools import pairwise

import numpy as np
import torch
from pydantic import Field

import tintlib
from gesso.engine import All, Apply, Emit, Host, Load, ModelRef, Warn
from gesso.media import Output
from gesso.plugin import OperationParams, hookimpl, sampler, schedule
from gesso.plugin.fields import ui


@sampler("steady", title="Steady {name}", paper="none", aliases=("st",), stochastic=True)
def steady(x, sigmas, noise, parametrisation):
    """Ancestral Euler with a touch of the library's number, so that its version shows in the bits."""
    note("begun")
    try:
        for sigma, after in pairwise(sigmas):
            reply = yield x, sigma
            x = reply.denoised + (x - reply.denoised) * (after / sigma) + 1e-3 * tintlib.NUMBER * noise(sigma, after) * after
            x = x + 1e-3 * noise.brownian(sigma, after) * after + 0 * parametrisation.sigma_max
        return x
    finally:
        note("closed")


@sampler("wild", title="Wild {name}", paper="none")
def wild(x, sigmas):
    try:
        for sigma in sigmas[:-1]:
            x = (yield x, sigma).denoised
            MISCHIEF[open(os.environ["GESSO_HOME"] + "/mischief").read()]()
        return x
    finally:
        note("closed")


@schedule("halving", title="Halving {name}", paper="none")
def halving(parametrisation, steps):
    return [parametrisation.sigma_max / 2**i for i in range(steps)] + [0.0]


def note(word):
    with open(os.environ["GESSO_HOME"] + "/notes", "a") as file:
        file.write(f"{{word}} {{os.getpid()}}\\n")


def loop():
    while True:
        pass


def leak():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)


def flood():
    for _ in range(30_000):
        print("flood " * 200)


MISCHIEF = {{
    "": lambda: None,
    "raise": lambda: 1 / 0,
    "exit": lambda: sys.exit(3),
    "die": lambda: os._exit(7),
    "abort": os.abort,
    "loop": loop,
    "leak": leak,
    "flood": flood,
}}


def slow_square(value):
    note("host")
    return np.full((8, 8, 3), value, np.uint8)


class Params(OperationParams):
    prompt: str = Field(title="Prompt", min_length=1, json_schema_extra=ui("prompt", 10, "prompt"))
    seed: int = Field(0, title="Seed", ge=0, json_schema_extra=ui("seed", 20, "sampling"))
    mischief: str = Field("", title="Mischief", json_schema_extra=ui("choice", 30, "sampling"))


class Swatch:
    """Renders a small square of a material, by way of everything that a context offers."""

    name = "swatch"
    title = "Swatch"
    Params = Params

    def resolve(self, ctx, params):
        if params.prompt == "wrong":
            from gesso.errors import InvalidRequest

            raise InvalidRequest("That is no material.", field="prompt")
        ctx.warn(f"the library is {{tintlib.__version__}}")
        assert ctx.sampling("dpm++ 2m karras", None) == ("dpmpp_2m", "karras")
        return params.model_copy(update={{"prompt": params.prompt + " " + ctx.model(None, capability="render").name}})

    def run(self, ctx, params):
        MISCHIEF[params.mischief]()
        card = ctx.model(None, capability="render")
        yield Load(ModelRef(card.name, card.digest))
        rendered, square = yield All(self.render(card, params), Host(slow_square, (tintlib.NUMBER,)))
        yield Emit(Warn("emitted"))
        (other,) = yield from ctx.operation("generate", {{"prompt": "moss", "model": "procedural", "width": 32, "height": 32, "seed": 1}})
        pixels = rendered.pixels.copy()
        pixels[:8, :8] = square
        pixels[8:16, :8] = other.pixels[:8, :8]
        return [Output(pixels, "image", 0, params.seed, params.model_dump(mode="json"), card.name, info={{"labels": {{"a": (1, 2)}}}})]

    def render(self, card, params):
        try:
            inputs = {{"prompt": "moss", "width": 32, "height": 32, "seed": params.seed, "tile": "xy"}}
            return (yield Apply(ModelRef(card.name, card.digest), "render", inputs))
        finally:
            note("rendered")


@hookimpl
def gesso_samplers(ctx):
    return [steady, wild]


@hookimpl
def gesso_schedules(ctx):
    return [halving]


@hookimpl
def gesso_operations(ctx):
    return [Swatch()]
'''

MANIFEST = """
schema = 1

[[plugin]]
name = "{name}"
module = "{name}_plugin.plugin"
title = "{name}"
summary = "For tests."
licence = "MIT"
provides = {{ samplers = ["steady", "wild"], schedules = ["halving"], operations = ["swatch"] }}
{isolation}
"""


def pip(*words: str, folder: Path) -> None:
    """Run pip, which must succeed; it has no index."""
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", *words[:1], *flags, *words[1:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def library(folder: Path, wheels: Path, version: str, number: int) -> None:
    """A wheel of tintlib in this version; one function of the other version is missing in each."""
    text = f"__version__ = {version!r}\nNUMBER = {number}\n\n\ndef only_in_{number}():\n    return {number}\n"
    project = _PROJECT.format(name="tintlib", version=version, points="", package="tintlib")
    source = write(folder / f"tintlib-{version}", {"pyproject.toml": project, "tintlib/__init__.py": text})
    pip("wheel", "--wheel-dir", str(wheels), str(source), folder=folder)


def plugin(folder: Path, site: Path, name: str, isolation: str, source: str = PLUGIN) -> None:
    """A plugin's distribution, installed into ``site``."""
    points = f'[project.entry-points.gesso]\n{name} = "{name}_plugin.plugin"\n'
    files = {
        "pyproject.toml": _PROJECT.format(name=f"gesso-{name}", version="1.0", points=points, package=f"{name}_plugin"),
        f"{name}_plugin/__init__.py": "",
        f"{name}_plugin/plugin.py": source.format(name=name),
        f"{name}_plugin/plugin_manifest.toml": MANIFEST.format(name=name, isolation=isolation),
    }
    pip("install", "--target", str(site), str(write(folder / name, files)), folder=folder)


def pinned(version: str) -> str:
    """The lines of a manifest that ask for an environment with this version of the library."""
    return f'isolation = "venv"\nrequires = ["tintlib=={version}"]'


class Desk:
    """A user's machine: a folder of installed plugins, a folder of wheels, a state directory."""

    def __init__(self, home: Path, folder: Path, site: Path, wheels: Path) -> None:
        self.home, self.folder = home, folder
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((os.environ["PYTHONPATH"], str(site))),
            "GESSO_HOME": str(home),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
        }

    def begin(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Start `gesso`."""
        return subprocess.Popen(
            [sys.executable, "-m", "gesso", *words],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `gesso` to its end."""
        begun = self.begin(*words, **environ)
        try:
            said, told = begun.communicate(timeout=110)
        finally:
            begun.kill()
        return subprocess.CompletedProcess(begun.args, begun.returncode, said, told)

    def ended(self, begun: subprocess.Popen[str]) -> int:
        """Wait for what was begun; its exit code."""
        try:
            begun.communicate(timeout=110)
        finally:
            begun.kill()
        return begun.returncode

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

    def pixels(self, *words: str) -> npt.NDArray[np.uint8]:
        """The picture that a job makes, which must succeed."""
        made = self.json(*words)
        return np.stack([np.asarray(Image.open(self.folder / entry["path"]).convert("RGB")) for entry in made["results"]])

    def notes(self, word: str) -> list[int]:
        """The processes that noted this word, in order."""
        path = self.home / "notes"
        lines = path.read_text().split("\n") if path.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(f"{word} ")]
