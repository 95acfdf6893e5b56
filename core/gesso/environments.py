"""Virtual environments of isolated plugins: made over the daemon's own, so that nothing is installed twice and the plugin's pins win. Only
a command of the owner calls this; no message of the protocol does. It runs no plugin.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import site
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from gesso.errors import PluginError

Say = Callable[[str], None]
_BELOW = "gesso-below.pth"
_LAST_LINES = 12


def make(name: str, requires: Sequence[str], folder: Path, say: Say) -> Path:
    """A new environment with ``requires`` in it; PluginError where it cannot be made, and nothing is left then."""
    place = folder / f"{name}.env-{secrets.token_hex(4)}"
    try:
        say(f"making the environment of {name}")
        _create(name, place)
        if requires:
            say(f"installing {', '.join(requires)} into it")
            _install(name, place, requires, say)
    except BaseException:
        remove_one(place)
        raise
    return place


def python_of(place: Path) -> Path:
    """The environment's Python."""
    return place / "bin" / "python"


def remove(name: str, folder: Path, but: Path | None = None) -> None:
    """Delete the environments of a plugin, ``but`` one."""
    for place in folder.glob(f"{name}.env-*"):
        if place != but:
            remove_one(place)


def remove_one(place: Path) -> None:
    """Delete an environment."""
    shutil.rmtree(place, ignore_errors=True)


def environ() -> dict[str, str]:
    """What a process in such an environment inherits: PYTHONPATH would stand before the plugin's pins, and lies below them already."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}


def _create(name: str, place: Path) -> None:
    import venv

    try:
        # not the system's packages: a daemon in an environment of its own does not see them, so the plugin must not either
        venv.EnvBuilder(symlinks=True).create(place)
        (packages,) = place.glob("lib/python*/site-packages")
        # addsitedir and not bare paths, so that editable installations below are followed too
        below = [f"import site; site.addsitedir({folder!r})" for folder in _below()]
        (packages / _BELOW).write_text("".join(f"{line}\n" for line in below), encoding="utf-8")
    except (OSError, ValueError, subprocess.CalledProcessError) as fault:
        raise PluginError(f"The environment of the plugin {name!r} cannot be made: {fault}.", details={"plugin": name}) from fault


def _below() -> list[str]:
    """Where this process finds its packages, nearest first."""
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    own = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [os.path.abspath(folder) for folder in (*given, *own, *site.getsitepackages()) if os.path.isdir(folder)]


def _install(name: str, place: Path, requires: Sequence[str], say: Say) -> None:
    if importlib.util.find_spec("pip") is None:
        raise PluginError(
            f"The plugin {name!r} requires {', '.join(requires)}, and there is no pip to install it with.",
            hint=f"Run `{sys.executable} -m ensurepip` first.",
            details={"plugin": name},
        )
    flags = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    command = (sys.executable, "-m", "pip", "--python", str(python_of(place)), "install", *flags, "--", *requires)
    pip = subprocess.Popen(
        command, env=environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        assert pip.stdout is not None
        for line in pip.stdout:
            last.append(line.strip())
            if line.startswith(("Collecting", "Downloading", "Installing", "  Downloading", "Building")):
                say(f"pip: {line.strip()}")
    except BaseException:
        pip.kill()
        raise
    finally:
        status = pip.wait()
    if status != 0:
        raise _failed(name, requires, list(last))


def _failed(name: str, requires: Sequence[str], last: list[str]) -> PluginError:
    errors = [line.removeprefix("ERROR:").strip().rstrip(".") for line in last if line.startswith("ERROR:")]
    said = errors[-1] if errors else (last[-1] if last else "it said nothing")
    return PluginError(
        f"pip could not install {', '.join(requires)} for the plugin {name!r}: {said}.",
        hint="The plugin is not enabled. pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS ...) are heeded.",
        details={"plugin": name, "pip": last},
    )
