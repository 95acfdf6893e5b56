"""Key files: closed to others, never overwritten, and refused where they are not what they should be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from gesso.errors import InvalidRequest, UnsafeState, UsageError
from gesso.wire import keys
from gesso.wire.home import Home


@pytest.fixture
def state(tmp_path: Path) -> Home:
    return Home.find(tmp_path)


def test_a_pair_is_one_that_curve_accepts_and_only_its_owner_can_read(state: Home) -> None:
    before = os.umask(0o022)
    try:
        pair = keys.new_pair(state, "laptop")
        keys.authorise(state, "phone", keys.new_pair(state, "phone").public)
    finally:
        os.umask(before)
    secret = z85.encode(bytes.fromhex(pair.secret))
    assert z85.decode(zmq.curve_public(secret)).hex() == pair.public
    for path in state.keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (state.keys, state.state):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert keys.read_pair(keys.pair_path(state, "laptop")) == pair
    assert pair.secret not in repr(pair)


def test_a_key_is_never_overwritten(state: Home) -> None:
    first = keys.new_pair(state, "laptop")
    with pytest.raises(UsageError, match="already"):
        keys.new_pair(state, "laptop")
    keys.authorise(state, "a", first.public)
    with pytest.raises(UsageError, match="authorised as 'a'"):
        keys.authorise(state, "a", "1" * 64)
    with pytest.raises(UsageError, match="already, as 'a'"):
        keys.authorise(state, "b", first.public.upper())
    assert keys.read_pair(keys.pair_path(state, "laptop")) == first
    assert [key.name for key in keys.authorised(state)] == ["a"]


def test_a_principal_stays_with_the_key(state: Home) -> None:
    one, two = keys.new_pair(state, "one").public, keys.new_pair(state, "two").public
    before = keys.authorise(state, "laptop", one).principal
    keys.revoke(state, "laptop")
    assert keys.authorise(state, "laptop", two).principal != before
    assert keys.authorise(state, "again", one).principal == before
    assert keys.revoke(state, one) == "again"
    with pytest.raises(UsageError, match="No key") as caught:
        keys.revoke(state, "again")
    assert "laptop" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", ".x", "x" * 65, "con\0", "ä", "a.b"])
def test_names_that_are_no_files_of_ours(state: Home, name: str) -> None:
    with pytest.raises(InvalidRequest):
        keys.new_pair(state, name)
    with pytest.raises(InvalidRequest):
        keys.authorise(state, name, "0" * 64)
    with pytest.raises(UsageError):
        keys.revoke(state, name)
    assert not state.keys.exists()


@pytest.mark.parametrize("text", ["", "0" * 63, "g" * 64, "0" * 65, "0" * 64 + "\n0"])
def test_what_is_no_key(state: Home, text: str) -> None:
    with pytest.raises(InvalidRequest):
        keys.authorise(state, "x", text)


def test_files_that_others_could_have_written_let_nobody_in(state: Home) -> None:
    keys.authorise(state, "good", "1" * 64)
    for name, text, mode in (("open", "2" * 64, 0o644), ("torn", "3" * 20, 0o600)):
        path = state.keys / f"{name}.authorised"
        path.write_text(text)
        path.chmod(mode)
    (state.keys / "link.authorised").symlink_to(state.keys / "good.authorised")
    assert [key.name for key in keys.authorised(state)] == ["good"]
    pair = keys.pair_path(state, "mine")
    keys.new_pair(state, "mine")
    pair.chmod(0o644)
    with pytest.raises(UnsafeState, match="other users"):
        keys.read_pair(pair)
    state.keys.chmod(0o755)
    with pytest.raises(UnsafeState):
        keys.authorised(state)


def test_pairs_that_cannot_be_read_are_named(state: Home) -> None:
    with pytest.raises(UsageError, match="no key"):
        keys.read_pair(keys.pair_path(state, "absent"))
    keys.new_pair(state, "broken")
    path = keys.pair_path(state, "broken")
    for text in ("{}", "not json", '{"public": 1, "secret": 2}', '{"public": "00", "secret": "00"}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="cannot be read"):
            keys.read_pair(path)
    assert keys.pair_path(state, "./here.pair") == Path("here.pair")
