"""Content credentials: they go in last, take nothing away, say who signed, and break when anything is changed."""

from __future__ import annotations

import importlib.util
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_end_to_end import FIRST, Desk

from gesso.cli import credentials
from gesso.errors import OutputError, UsageError
from gesso.recipe import read_recipe
from gesso.wire.home import Home


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GESSO_HOME", str(tmp_path / "home"))
    return Home.find().state / "credentials"


def picture(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_signature_adds_one_chunk_and_takes_nothing_away(own: Path) -> None:
    plain = picture()
    signed = credentials.signed(plain, "a.png")
    assert credentials.without(signed) == plain
    assert credentials.without(plain) == plain
    assert len(signed) - len(plain) < 20_000, "no thumbnail"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(signed))), np.asarray(Image.open(io.BytesIO(plain))))
    assert credentials.checked(plain) is None
    found = credentials.checked(signed)
    assert found == credentials.Credentials("own", "signed by this Gesso, not by a public authority")


def test_the_certificate_is_issued_once_and_is_for_its_owner_alone(own: Path) -> None:
    credentials.signed(picture(), "a.png")
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    credentials.signed(picture(1), "b.png")
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    assert sorted(before) == ["authority.pem", "chain.pem", "leaf.key"], "the authority's key is not kept"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in own.iterdir()} == {0o600}
    assert [path.name for path in own.parent.iterdir() if "credentials" in path.name] == ["credentials"]


@pytest.mark.parametrize("place", [40, -30], ids=["in the head", "in the pixels"])
def test_a_change_breaks_them(own: Path, place: int) -> None:
    plain = picture()
    signed = bytearray(credentials.signed(plain, "a.png"))
    start = len(signed) - len(plain)
    signed[place if place < 0 else start + place] ^= 1
    found = credentials.checked(bytes(signed))
    assert found is not None
    assert found.state == "broken"
    assert "the file was changed since it was signed" in found.said or "cannot be read" in found.said


def test_credentials_of_another_picture_do_not_hold(own: Path) -> None:
    signed, other = credentials.signed(picture(), "a.png"), picture(1)
    chunk = next(raw for kind, raw in credentials._chunks(signed) if kind == b"caBX")
    moved = credentials.checked(other[:33] + chunk + other[33:])
    assert moved is not None
    assert moved.state == "broken"


def test_another_gesso_is_nobody_known(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = credentials.signed(picture(), "a.png")
    monkeypatch.setenv("GESSO_HOME", str(tmp_path / "another"))
    for signs_itself in (False, True):
        if signs_itself:
            credentials.signed(picture(), "b.png")
        found = credentials.checked(theirs)
        assert found is not None
        assert found.state == "other"
        assert "whom this Gesso does not know" in found.said
        assert found.said.startswith("signed by Gesso ")


def test_what_cannot_be_signed_is_a_sentence(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "WEBP")
    with pytest.raises(OutputError, match="is no PNG") as caught:
        credentials.signed(file.getvalue(), "a.webp")
    assert caught.value.field == "credentials"
    signed = credentials.signed(picture(), "a.png")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "c2pa" else find(name))
    with pytest.raises(UsageError, match="are not installed") as missing:
        credentials.require()
    assert "gesso[credentials]" in str(missing.value.hint)
    unchecked = credentials.checked(signed)
    assert unchecked is not None
    assert unchecked.state == "unchecked"
    assert "gesso[credentials]" in unchecked.said


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", picture()[:-20], b"GIF89a" + bytes(40)])
def test_what_is_no_whole_png_has_none(own: Path, content: bytes) -> None:
    assert credentials.checked(content) is None
    assert credentials.without(content) == content


@pytest.fixture
def desk(tmp_path: Path, home: Path) -> Iterator[Desk]:
    found = Desk(home, tmp_path)
    yield found
    found.run("stop")


def test_a_signed_picture_is_made_again_and_its_credentials_are_told(desk: Desk) -> None:
    told = desk.json(*FIRST, "-o", "a.png", "--credentials")
    made = desk.folder / "a.png"
    assert read_recipe(made) is not None
    done = desk.run("verify", "a.png")
    assert done.returncode == 0, done.stderr
    assert "a.png: verified; made again from its recipe, it has the same bytes" in done.stdout
    assert "a.png: credentials: signed by this Gesso, not by a public authority" in done.stdout

    again = desk.run("jobs", "result", told["job"], "-o", "plain.png")
    assert again.returncode == 0, again.stderr
    assert credentials.without(made.read_bytes()) == (desk.folder / "plain.png").read_bytes()
    assert json.loads(desk.run("verify", "plain.png", "--json").stdout)["credentials"] is None

    broken = bytearray(made.read_bytes())
    broken[-30] ^= 1
    (desk.folder / "broken.png").write_bytes(bytes(broken))
    other = desk.run("verify", "broken.png", "--json")
    assert other.returncode == 1
    document = json.loads(other.stdout)
    assert (document["verdict"], document["credentials"]["state"]) == ("different", "broken")

    refused = desk.run(*FIRST, "-o", "b.webp", "--credentials", "--json")
    assert refused.returncode == 1
    error = json.loads(refused.stdout)["error"]
    assert error["field"] == "credentials"
    assert "The result is kept" in error["hint"]
    assert not (desk.folder / "b.webp").exists()
