# SPDX-License-Identifier: GPL-3.0-or-later
"""Project onto the model: make a picture for what the view shows, and bake it into the object's texture when it is there."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Dict, Generator, List, Mapping, Tuple, Type

import bpy

from gesso.errors import InvalidRequest

from . import images, looking, material, operators, runtime, texture
from .looking import View

if TYPE_CHECKING:
    from ..panel.task import Task

SIZES = [(str(size), str(size), f"{size} x {size} pixels") for size in (256, 512, 1024, 2048, 4096)]
AUTOMATIC, NONE = "AUTOMATIC", "NONE"
STARTS = [
    (AUTOMATIC, "Automatic", "From the object's own colours where no ControlNet steers and the chosen model takes pictures"),
    ("CURRENT", "What is there", "From the colours that the view shows now"),
    (NONE, "Nothing", "By the words alone, or by the ControlNet"),
]
_controls: List[Tuple[str, str, str]] = []


def control_items(_settings: Any, _context: Any) -> List[Tuple[str, str, str]]:
    """What may steer by the depth of the view. Blender needs the list to stay alive."""
    automatic = (AUTOMATIC, "Automatic", "A ControlNet whose name says depth, where the chosen model listens to one")
    nets = [(net["name"], net["name"], str(net.get("title", ""))) for net in _nets()]
    _controls[:] = [automatic, (NONE, "None", "Nothing steers the picture by the shapes"), *nets]
    return _controls


def _nets() -> Tuple[Mapping[str, Any], ...]:
    known = runtime.current().surface.catalogues
    return (*known.get("controlnets", ()), *known.get("t2i_adapters", ()))


def guide(net: str) -> str:
    """What a ControlNet is shown, by its name: normals, objects, else depth."""
    words = next((f"{net} {entry.get('title', '')}" for entry in _nets() if entry["name"] == net), net).lower()
    return looking.NORMAL if "normal" in words else looking.OBJECTS if "seg" in words else looking.DEPTH


def steering(target: Any, model: Any, control: str, start: str) -> Tuple[str, bool]:
    """(the ControlNet or an empty name, whether to start from what is there). Only a model that was chosen can be asked what it takes."""
    models = runtime.current().surface.catalogues.get("models", ())
    able = next((entry.get("capabilities", ()) for entry in models if entry["name"] == model), ())
    if control == AUTOMATIC and start == "CURRENT":
        control = NONE
    elif control == AUTOMATIC:
        deep = [net["name"] for net in _nets() if "depth" in f"{net['name']} {net.get('title', '')}".lower()]
        control = deep[0] if deep and "denoise" in able else NONE
    steered = "" if control == NONE else control
    if start == AUTOMATIC:
        return steered, not steered and "encode_image" in able and material.base_image(target) is not None
    return steered, start == "CURRENT"


class Project(operators.Asks, bpy.types.Operator):
    """Make a picture for what the view shows, and paint the object with it, where the view sees it. ``control`` is shown the depth, or the
    normals or objects where its name says so.
    """

    bl_idname = "gesso.project"
    bl_label = "Project from this view"
    bl_description = "Make a picture for what the view shows and bake it into the object's texture; several views blend"

    prompt: bpy.props.StringProperty(name="Prompt", description="By default that of the operation Generate in the panel")
    object_name: bpy.props.StringProperty(name="Object", description="By default the active one")
    size: bpy.props.IntProperty(name="Picture", description="Pixels of the picture that is made", default=512, min=64, max=4096)
    texture: bpy.props.EnumProperty(name="Texture", description="Pixels of the object's texture", items=SIZES, default="1024")
    control: bpy.props.StringProperty(name="Depth", description="The name of a ControlNet, AUTOMATIC or NONE", default=AUTOMATIC)
    start: bpy.props.EnumProperty(name="Start", description="What the picture starts from", items=STARTS, default=AUTOMATIC)
    parameters: bpy.props.StringProperty(name="Parameters", description="Further parameters of the operation generate, as JSON")

    def ask(self, context: Any) -> "List[Task]":
        """Depth now, the picture when it comes."""
        target = bpy.data.objects.get(self.object_name) if self.object_name else context.active_object
        if target is None or target.type != "MESH":
            raise InvalidRequest("There is no mesh to project onto.", field="object_name", hint="Make a mesh the active object.")
        view = looking.of_context(context, self.size)
        params = {**operators.generate_params(context, self.prompt, self.parameters), "width": self.size, "height": self.size}
        control, current = steering(target, params.get("model"), self.control, self.start)
        if control:
            params["control"] = {control: looking.guide_of(view, guide(control))}
        if current:
            params["image"] = looking.colour_of(view)
        depth = looking.depth_of(view)
        depth.use_fake_user = True
        memo = {"object": target.name, "view": asdict(view), "depth": depth.name, "texture": int(self.texture)}
        return [runtime.current().submit("generate", params, projection=memo)]


def receive(memo: Dict[str, Any], data: bytes) -> Generator[float, None, str]:
    """The picture has come: paint it onto the object, in steps; yields how far it is."""
    view, target = View(**memo["view"]), bpy.data.objects.get(memo["object"])
    if target is None:
        raise InvalidRequest(f"The object {memo['object']!r} is no longer there.", hint="Undo what removed it, and use the result again.")
    depth = bpy.data.images.get(memo["depth"]) or looking.depth_of(view)  # gone where Blender was closed, or what made it was undone
    name = depth.name
    try:
        yield from texture.project(target, data, view, depth, memo["texture"])
    finally:
        images.remove(name)
    return f"Projected onto {memo['object']}."


def discard(memo: Dict[str, Any]) -> None:
    """There will be no picture."""
    images.remove(memo["depth"])


CLASSES: Tuple[Type[Any], ...] = (Project,)
