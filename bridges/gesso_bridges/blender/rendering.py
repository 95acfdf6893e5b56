# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes room for renders: the daemon leaves the device before Cycles begins and goes on when it has ended. It renders nothing itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Set, Tuple, Type

import bpy
from bpy.app.handlers import persistent

from gesso.errors import GessoError, InvalidRequest

from . import images, looking, operators, preferences, runtime

if TYPE_CHECKING:
    from ..panel.task import Task

LEAVING_SECONDS = 5.0
"""How long a render waits for the device at most; a step of a large model may take longer, and then both share it."""


class Stylise(operators.Asks, bpy.types.Operator):
    """Send the last render through image-to-image, or every frame of a folder."""

    bl_idname = "gesso.stylise_render"
    bl_label = "Stylise the render"
    bl_description = "Make a new picture from the last render, by prompt and strength of the operation Generate"

    prompt: bpy.props.StringProperty(name="Prompt", description="By default that of the operation Generate in the panel")
    strength: bpy.props.FloatProperty(name="Strength", description="How far from the render", default=0.5, min=0.0, max=1.0)
    parameters: bpy.props.StringProperty(name="Parameters", description="Further parameters of the operation generate, as JSON")
    directory: bpy.props.StringProperty(name="Frames", description="A folder of PNG frames instead of the last render", subtype="DIR_PATH")

    browse: bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, description="Ask for the folder")
    filter_folder: bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, default=True)
    filter_image: bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, default=True)

    def invoke(self, context: Any, event: Any) -> Set[str]:
        """A folder is asked for with a file browser."""
        if not self.browse:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def ask(self, context: Any) -> "List[Task]":
        """A render becomes a new image; frames become files in the folder `gesso` beside them, all from the same noise."""
        now = runtime.current()
        params = operators.generate_params(context, self.prompt, self.parameters)
        params["strength"] = self.strength
        if not self.directory:
            return [now.submit("generate", _sized(params, self._render()))]
        params.setdefault("seed", 0)
        return [now.submit("generate", _sized(params, data), save=str(path)) for path, data in self._frames()]

    def _frames(self) -> List[Tuple[Path, bytes]]:
        """Where each belongs, and what it is; all are read before one is sent."""
        try:
            paths = sorted(Path(bpy.path.abspath(self.directory)).glob("*.png"))
            found = [(path.parent / "gesso" / path.name, path.read_bytes()) for path in paths]
        except OSError as fault:
            raise GessoError(f"The frames cannot be read: {fault}") from fault
        if not found:
            raise InvalidRequest(
                f"There are no PNG files in {self.directory}.", field="directory", hint="Render the animation as PNG first."
            )
        return found

    def _render(self) -> bytes:
        try:
            return images.to_file(bpy.data.images["Render Result"])
        except (KeyError, RuntimeError) as fault:  # Blender tells that it is empty only when it is saved
            raise InvalidRequest("There is no render yet.", field="image", hint="Render a picture first (F12).") from fault


def _sized(params: Dict[str, Any], picture: bytes) -> Dict[str, Any]:
    """With the picture, and as large as it is where nothing else was said."""
    width, height = images.png_size(picture)
    return {"width": width, "height": height, **params, "image": picture}


def _wanted(scene: Any) -> bool:
    """Our own views are small, and the models are wanted right after them."""
    if scene.name.startswith(looking.SCENE):
        return False
    found = preferences.get()
    return scene.render.engine == "CYCLES" and runtime.current().begun and (found is None or found.suspend)


@persistent
def _begins(scene: Any, _unused: Any = None) -> None:
    if _wanted(scene):
        runtime.current().lent, runtime.current().returning = True, False
        runtime.current().session.suspend().wait(LEAVING_SECONDS)


@persistent
def _ends(scene: Any, _unused: Any = None) -> None:
    now = runtime.current()
    if now.lent and bpy.app.background:  # no timer ticks there
        now.take_back()
    now.returning = now.lent


HANDLERS: Tuple[Tuple[str, Any], ...] = (("render_init", _begins), ("render_complete", _ends), ("render_cancel", _ends))
"""With these, renders get the device."""

CLASSES: Tuple[Type[Any], ...] = (Stylise,)
