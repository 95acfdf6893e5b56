# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: where Gesso is, and what it does by itself."""

import os
import shlex
from typing import Any

import bpy

PACKAGE = __package__.rpartition(".")[0]
"""The add-on's own name: `gesso_blender`, or `bl_ext.REPOSITORY.gesso_blender` for an extension."""


class Preferences(bpy.types.AddonPreferences):
    """Kept by Blender with the user's settings."""

    bl_idname = PACKAGE

    program: bpy.props.StringProperty(
        name="Gesso's program", description="The program gesso, where it is not on the path", subtype="FILE_PATH"
    )
    suspend: bpy.props.BoolProperty(
        name="Make room for renders", description="Gesso leaves the device while Cycles renders, and goes on afterwards", default=True
    )

    def draw(self, context: Any) -> None:
        """Blender draws them."""
        self.layout.prop(self, "program")
        self.layout.prop(self, "suspend")


def get() -> Any:
    """The preferences, or None where the add-on runs without them, as in `--factory-startup`."""
    entry = bpy.context.preferences.addons.get(PACKAGE)
    return None if entry is None else entry.preferences


def remember_program(path: str) -> None:
    """For the next start."""
    found = get()
    if found is not None:
        found.program = path


def use_program() -> None:
    """What the user chose goes before what is on the path."""
    found = get()
    if found is not None and found.program:
        os.environ["GESSO_COMMAND"] = shlex.quote(bpy.path.abspath(found.program))
