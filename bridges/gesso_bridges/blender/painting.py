# SPDX-License-Identifier: GPL-3.0-or-later
"""A mask to paint, on the mesh or in the Image Editor, and the edit of the picture under it. The picture itself is never painted on."""

from typing import TYPE_CHECKING, Any, List, Set, Tuple, Type

import bpy

from gesso.errors import GessoError, InvalidRequest

from . import images, material, operators, properties, runtime

if TYPE_CHECKING:
    from ..panel.task import Task

MASK = "Gesso mask"


def picture_of(context: Any) -> Any:
    """The picture that a mask would be for: the open one, else the one that the object shows; raises InvalidRequest."""
    found = operators.context_image(context)
    if found is None or found.name.startswith(MASK):
        found = bpy.data.images.get(context.scene.gesso.masked)
    if found is None:
        found = material.base_image(context.active_object)
    if found is None:
        raise InvalidRequest("There is no picture to edit.", field="image", hint="Open one, or choose an object whose material shows one.")
    return found


class NewMask(bpy.types.Operator):
    """A black mask of the picture's size, ready to be painted white where the picture shall change."""

    bl_idname = "gesso.new_mask"
    bl_label = "Paint a mask"
    bl_description = "Paint white where the picture shall change: in the Image Editor, or on the mesh in Texture Paint"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> Set[str]:
        """The brush paints on the mask from now on."""
        try:
            picture = picture_of(context)
        except GessoError as fault:
            return operators.told(self, fault)
        old = bpy.data.images.get(MASK)
        if old is not None:
            bpy.data.images.remove(old)
        mask = bpy.data.images.new(MASK, *picture.size)
        mask.colorspace_settings.name = "Non-Color"
        context.scene.gesso.masked = picture.name
        paint = context.scene.tool_settings.image_paint
        paint.mode, paint.canvas = "IMAGE", mask
        brush = paint.brush
        if brush is not None:
            brush.color = (1.0, 1.0, 1.0)
        space = context.space_data
        if space is not None and space.type == "IMAGE_EDITOR":
            space.image = mask
            space.ui_mode = "PAINT"
        elif context.active_object is not None and context.active_object.type == "MESH" and not bpy.app.background:
            bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
        return {"FINISHED"}


class EditMasked(operators.Asks, bpy.types.Operator):
    """Edit the picture where the mask is white; everything else keeps its bytes."""

    bl_idname = "gesso.edit_masked"
    bl_label = "Edit under the mask"
    bl_description = "Change the picture where the mask is white, by the settings of the operation Edit"

    prompt: bpy.props.StringProperty(name="Prompt", description="By default that of the operation Edit in the panel")

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Only where there is a mask."""
        return MASK in bpy.data.images and context.scene.gesso.masked in bpy.data.images

    def ask(self, context: Any) -> "List[Task]":
        """One undo step, when it is there."""
        now, mask = runtime.current(), bpy.data.images[MASK]
        picture = bpy.data.images[context.scene.gesso.masked]
        form = now.surface.forms["edit"]
        params = properties.values(form, getattr(context.scene, properties.group_name("edit")), images.to_file)
        params.update(image=images.to_file(picture), mask=images.to_file(mask))
        if self.prompt:
            params["prompt"] = self.prompt
        task = now.submit("edit", params, image=picture.name)
        _show_again(context, picture)
        return [task]


class MakeSeamless(operators.Asks, bpy.types.Operator):
    """Mend the open picture where its borders meet, so that it repeats."""

    bl_idname = "gesso.make_seamless"
    bl_label = "Make it seamless"
    bl_description = "Mend the open picture where its borders meet, so that it repeats, by the settings of the operation Texture"

    def ask(self, context: Any) -> "List[Task]":
        """The operation Texture, of which only the colour is wanted."""
        now = runtime.current()
        form = now.surface.forms["texture"]
        picture = picture_of(context)
        said = properties.values(form, getattr(context.scene, properties.group_name("texture")), images.to_file)
        heard = ("repair", "tile", "prompt", "strength", "model", "seed") if said.get("repair") == "paint" else ("repair", "tile")
        params = {name: said[name] for name in heard if name in said}
        params.update(image=images.to_file(picture), maps=False)
        return [now.submit("texture", params, image=picture.name, editor=True)]


def _show_again(context: Any, picture: Any) -> None:
    space = context.space_data
    if space is not None and space.type == "IMAGE_EDITOR":
        space.image = picture


CLASSES: Tuple[Type[Any], ...] = (NewMask, EditMasked, MakeSeamless)
