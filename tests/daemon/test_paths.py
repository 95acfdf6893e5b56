"""No text of a client ever becomes a path: every file that the front opens, makes or removes is written down while names of every bad kind
come in on every field.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gesso.errors import GessoError
from gesso.wire import message as wire

from .conftest import Make
from .talk import Daemon, Talk

MARK = "gesso-canary"
NAMES = [
    f"../{MARK}", f"../../../../../../tmp/{MARK}", f"/tmp/{MARK}", f"/etc/{MARK}", f"..\\..\\{MARK}", f"C:\\{MARK}",
    f"\\\\server\\share\\{MARK}", f"file:///tmp/{MARK}", f"~/{MARK}", f"$HOME/{MARK}", f"{MARK}\0.png", f"{MARK}/../{MARK}", f"./{MARK}",
    f"{MARK}/CON", f"NUL.{MARK}", f"{MARK}:stream", f"{MARK}" + "x" * 300, f"{MARK}\n", f"\u202e{MARK}", f"{MARK}\uff0f..\uff0f",
    f"%2e%2e%2f{MARK}", f"{MARK}*", f"|{MARK}", f"-{MARK}",
]  # fmt: skip
VALUES: dict[str, Any] = {wire.STRING: "0" * 32, wire.INTEGER: 0, wire.BOOLEAN: False, wire.LIST: ["0" * 64], wire.OBJECT: {}}
GOOD: dict[str, dict[str, Any]] = {
    kind: {name: VALUES[field.kind] for name, field in request.fields.items() if field.kind in VALUES}
    for kind, request in wire.REQUESTS.items()
    if kind != "stop"
}
GOOD["hello"]["protocol"] = [1]
GOOD["submit"] = {"key": "k", "operation": "paint", "params": {"prompt": "image:64"}, "watch": False}
PARAMS = ("prompt", "tile", "sampler", "schedule", "model", "image", "options")


def requests(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Every request with this name in each of its string fields, and in each parameter of an operation."""
    found = [
        (kind, {**fields, field: [name] if isinstance(value, list) else name})
        for kind, fields in GOOD.items()
        for field, value in fields.items()
        if isinstance(value, str | list) and field != "protocol"
    ]
    for param in PARAMS:
        for value in (name, {"sha256": name}, {"path": name}, {name: 1}):
            found.append(("submit", {**GOOD["submit"], "key": os.urandom(8).hex(), "params": {"prompt": "image:64", param: value}}))
    return found


def say(talk: Talk, kind: str, fields: dict[str, Any]) -> None:
    """Ask; an error is an answer too."""
    code = "none"
    try:
        talk.ask(kind, **fields)
    except GessoError as fault:
        code = fault.code
    assert code != "internal", (kind, fields)


@pytest.fixture
def watched(make_daemon: Make, tmp_path: Path) -> tuple[Daemon, Path]:
    opens = tmp_path / "opens"
    return make_daemon(opens=str(opens), settings={"queue.client_limit": 100_000, "queue.limit": 100_000}).start(), opens


def test_no_name_of_a_client_is_ever_a_path(watched: tuple[Daemon, Path]) -> None:
    daemon, opens = watched
    count = 0
    with daemon.talk() as talk:
        before = len(opens.read_text().splitlines())
        nonce = Path(talk.welcome["nonce_file"]).read_text()
        for name in NAMES:
            for kind, fields in requests(name):
                say(talk, kind, fields)
                count += 1
        sha256 = talk.upload(b"a picture")
        ready = talk.ask("blob.begin", size=3, sha256="1" * 64, nonce=nonce)
        assert Path(ready["path"]).parent == daemon.home.incoming
        assert talk.run("fetch", params={"image": {"sha256": sha256}})["type"] == "done"
    paths = opens.read_text().splitlines()[before:]
    mine = [path for path in paths if path.startswith(str(daemon.root))]
    assert mine, "the hook saw nothing"
    assert [path for path in paths if MARK in path] == []
    system = (sys.prefix, sys.base_prefix, "/proc/self", "/proc/", "/dev/null", str(Path(__file__).parents[2]))
    strays = {path for path in paths if path.startswith(("/", "..")) and not path.startswith((str(daemon.root), *system))}
    assert strays == set()
    print(f"{count} requests with {len(NAMES)} names; {len(paths)} paths were touched, none of them a client's")


def test_a_link_in_the_place_of_an_upload_is_not_followed(daemon: Daemon, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345")
    with daemon.talk() as talk:
        nonce = Path(talk.welcome["nonce_file"]).read_text()
        ready = talk.ask("blob.begin", size=5, sha256="5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5", nonce=nonce)
        Path(ready["path"]).symlink_to(secret)
        with pytest.raises(GessoError, match="cannot be opened"):
            talk.ask("blob.part", upload=ready["upload"], offset=5)
    assert secret.read_bytes() == b"12345"
