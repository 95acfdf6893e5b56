"""Blender 4.2 and later: the packed zip is installed as an extension, works, and goes away again."""

import os

import bpy


def script():
    import addon_utils

    if "bl_pkg" not in bpy.context.preferences.addons:
        addon_utils.enable("bl_pkg", default_set=True)
    assert bpy.ops.extensions.package_install_files(filepath=os.environ["ZIP"], repo="user_default", enable_on_install=True) == {"FINISHED"}
    name = "bl_ext.user_default.gesso_blender"
    assert name in bpy.context.preferences.addons, list(bpy.context.preferences.addons.keys())
    yield 0
    assert bpy.ops.gesso.texture(prompt="slate", width=64, height=64, seed=1, object_name="Cube") == {"FINISHED"}
    assert bpy.data.objects["Cube"].active_material["gesso_recipe"]
    addon_utils.disable(name, default_set=True)
    assert not hasattr(bpy.types.Scene, "gesso")
    return {"version": bpy.app.version_string}
