"""No message of the protocol brings a plugin in: the front imports none, writes nothing into their folder, and installs nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

from gesso.errors import GessoError
from gesso.wire import message as wire

from .conftest import Make
from .talk import Daemon, Talk

PLUGIN = """
import os, pathlib
from gesso.plugin import sampler
pathlib.Path(os.environ["GESSO_HOME"], "importers").open("a").write(f"{os.getpid()}\\n")

@sampler("halfway", title="Halfway there", paper="none")
def halfway(x, sigmas):
    return (yield x, sigmas[0]).denoised
"""
EVIL = "import pathlib; pathlib.Path('evil').touch()"


def gesso(daemon: Daemon, *words: str) -> None:
    command = [sys.executable, "-m", "gesso", *words]
    done = subprocess.run(command, env=daemon.environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


def state(folder: Path) -> dict[str, Any]:
    """Every file below, with its content."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def installed() -> set[str]:
    folders = [Path(folder) for folder in site.getsitepackages()]  # Debian's Python names some that are not there
    return {entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()}


def values(kind: str, folder: Path) -> list[Any]:
    """What an attacker would put into a field of this kind."""
    places = [f"../plugins/{name}" for name in ("evil.py", "plugins.json", "evil.compiled.json")] + [str(folder / "evil.py")]
    return {
        "string": [*places, EVIL, "pip install evil", "evil", "0" * 64],
        "integer": [0, len(EVIL), -1],
        "boolean": [True],
        "list": [places, [hashlib.sha256(EVIL.encode()).hexdigest()]],
        "object": [{"plugin": "evil", "file": places[0], "code": EVIL, "prompt": "x"}, {"prompt": "x", "sampler": places[0]}],
    }.get(kind, [EVIL])


def attack(talk: Talk, folder: Path) -> int:
    """Every request that there is, and some that are not, with such fields; how many were answered."""
    answered = 0
    extra = {"path": str(folder / "evil.py"), "plugin": "evil", "name": "../plugins/evil.py", "requires": ["evil"], "code": EVIL}
    for kind, request in wire.REQUESTS.items():
        if kind in ("hello", "stop"):
            continue
        for turn in range(7):
            fields = {
                name: choices[turn % len(choices)] for name, field in request.fields.items() if (choices := values(field.kind, folder))
            }
            for more in ({}, extra):
                with contextlib.suppress(GessoError):
                    talk.ask(kind, EVIL.encode() if request.payload else b"", **{**more, **fields})
                answered += 1
    for kind in ("plugins.add", "plugins.enable", "plugin", "install", "reload", "exec", "blob.put"):
        with contextlib.suppress(GessoError):
            talk.ask(kind, EVIL.encode(), **extra)
        answered += 1
    return answered


def test_no_message_writes_a_plugin_or_installs_one(make_daemon: Make) -> None:
    daemon = make_daemon().start()
    gesso(daemon, "plugins", "add", str(_written(daemon, PLUGIN)))
    folder = daemon.home.plugins
    before, packages = state(folder), installed()
    with daemon.talk() as talk:
        assert attack(talk, folder) > 200
        assert talk.upload(EVIL.encode()), "an upload is a blob, and only that"
        assert talk.run("image:64")["type"] == "done"
    assert state(folder) == before
    assert installed() == packages
    assert not [path for path in daemon.root.rglob("*evil*") if path.is_file()]
    assert not [kind for kind in wire.REQUESTS if "plugin" in kind or "install" in kind]


def test_a_front_with_plugins_imports_none_of_them(make_daemon: Make) -> None:
    daemon = make_daemon(print_modules=True).start()
    gesso(daemon, "plugins", "add", str(_written(daemon, PLUGIN)))
    with daemon.talk() as talk:
        assert "halfway.halfway" in json.dumps(_described(talk))
        assert talk.run("image:64", params={"sampler": "halfway.halfway"})["type"] == "done"
        gesso(daemon, "plugins", "disable", "halfway")
        assert "halfway.halfway" not in json.dumps(_described(talk))
        front = daemon.live.pid
    modules = json.loads(daemon.stop().splitlines()[-1])
    assert "gesso.strangers" in modules
    assert [name for name in modules if "halfway" in name or name.startswith(("gesso_single_", "gesso.plugin", "gesso_plugins"))] == []
    assert front not in [int(line) for line in (daemon.root / "importers").read_text().split()]


def _written(daemon: Daemon, source: str) -> Path:
    path = daemon.root / "halfway.py"
    path.write_text(source, encoding="utf-8")
    return path


def _described(talk: Talk) -> Any:
    content, size = b"", 1
    while len(content) < size:
        header, payload = talk.answer(talk.post("describe", offset=len(content)))
        content, size = content + payload, header["size"]
    return json.loads(content)
