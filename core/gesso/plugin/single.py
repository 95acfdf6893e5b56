"""Imports a stranger's plugin: a distribution's module by its name, a single file from exactly the bytes that were hashed."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from gesso.strangers import Stranger

PREFIX = "gesso_single_"
"""Before the module's name of a single file, so that none can take the place of a real module."""


def imported(stranger: Stranger) -> ModuleType:
    """The plugin's module; whatever it raises is raised here."""
    if stranger.code is None:
        return importlib.import_module(stranger.entry.module)
    name = PREFIX + stranger.entry.name
    module = ModuleType(name)
    module.__file__ = str(stranger.origin)
    program = compile(stranger.code, str(stranger.origin), "exec", dont_inherit=True)
    previous = sys.modules.get(name)
    sys.modules[name] = module  # while it runs already: pydantic and dataclasses look their modules up
    try:
        exec(program, module.__dict__)
    except BaseException:
        if previous is None:
            del sys.modules[name]
        else:
            sys.modules[name] = previous
        raise
    return module


def bare_specs(module: object, kind: type[Any]) -> list[Any]:
    """Samplers or schedules that stand in the module without a hook that returns them; what it imported is not its own."""
    name = getattr(module, "__name__", "")
    found = [thing for thing in vars(module).values() if isinstance(thing, kind)]
    return list({id(thing): thing for thing in found if getattr(thing.function, "__module__", "") == name}.values())
