"""Where state lies on each platform, and who may reach it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gesso.errors import UnsafeState
from gesso.wire.home import Home, check_private, make_private, socket_path_limit


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    home = Home.find(environ={"GESSO_HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/1"}, platform="linux")
    places = [home.config_file, home.runtime, home.state, home.blobs, home.incoming, home.models, home.plugins, home.logs, home.journal]
    assert all(tmp_path in place.parents for place in places)
    assert len(set(places)) == len(places)
    assert Home.find(tmp_path, environ={"GESSO_HOME": "/elsewhere"}) == home


def test_linux(tmp_path: Path) -> None:
    home = Home.find(environ={"HOME": "/home/ann", "XDG_RUNTIME_DIR": str(tmp_path)}, platform="linux")
    assert home.config_file == Path("/home/ann/.config/gesso/config.toml")
    assert home.runtime == tmp_path / "gesso"
    assert home.journal == Path("/home/ann/.local/state/gesso/journal.sqlite")
    assert home.blobs == Path("/home/ann/.local/share/gesso/blobs")
    assert home.logs == Path("/home/ann/.local/state/gesso/logs")
    moved = Home.find(environ={"HOME": "/home/ann", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "relative"}, platform="linux")
    assert moved.config_file == Path("/c/gesso/config.toml")
    assert moved.runtime == Path("/home/ann/.local/state/gesso/run")


def test_a_runtime_directory_that_is_not_there_is_not_used() -> None:
    home = Home.find(environ={"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/none"}, platform="linux")
    assert home.runtime == Path("/home/ann/.local/state/gesso/run")


def test_macos_and_windows() -> None:
    mac = Home.find(environ={"HOME": "/Users/ann"}, platform="darwin")
    assert mac.blobs == Path("/Users/ann/Library/Application Support/gesso/data/blobs")
    assert mac.logs == Path("/Users/ann/Library/Logs/gesso")
    windows = Home.find(environ={"HOME": "/u", "LOCALAPPDATA": "/local", "APPDATA": "/roaming"}, platform="win32")
    assert windows.config_file == Path("/roaming/gesso/config.toml")
    assert windows.daemon_file == Path("/local/gesso/run/daemon.json")


def test_prepare_makes_private_directories(tmp_path: Path) -> None:
    home = Home.find(tmp_path / "deep" / "home")
    home.prepare()
    home.prepare()
    for path in home.private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert home.models.is_dir()


def test_open_doors_are_refused(tmp_path: Path) -> None:
    home = Home.find(tmp_path)
    home.prepare()
    home.runtime.chmod(0o710)
    with pytest.raises(UnsafeState, match="0710") as caught:
        home.prepare()
    assert "chmod" in str(caught.value.hint)


def test_links_and_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(UnsafeState, match="neither"):
        make_private(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UnsafeState, match="neither"):
        check_private(tmp_path / "pipe")
    with pytest.raises(UnsafeState, match="cannot be looked at"):
        check_private(tmp_path / "absent")
    (tmp_path / "file").touch(0o600)
    check_private(tmp_path / "file")
    with pytest.raises(UnsafeState, match="cannot be made"):
        make_private(tmp_path / "file" / "below")


def test_another_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(UnsafeState, match="not to you"):
        make_private(tmp_path)


def test_the_socket_has_a_short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = Home.find(Path("/tmp/g"))
    assert short.socket_path() == short.runtime / "front.sock"
    deep = Home.find(tmp_path / ("d" * 100))
    fallback = deep.socket_path()
    assert len(os.fsencode(fallback)) <= socket_path_limit()
    assert fallback.name == "front.sock"
    assert fallback == deep.socket_path()
    assert fallback.parent != Home.find(tmp_path / ("e" * 100)).socket_path().parent
    monkeypatch.setattr("gesso.wire.home.socket_path_limit", lambda: 10)
    with pytest.raises(UnsafeState, match="short enough"):
        deep.socket_path()


def test_limits_of_platforms() -> None:
    assert (socket_path_limit("linux"), socket_path_limit("darwin")) == (107, 103)
