# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that do not depend on schemas: run what the panel says, cancel, fix, choose, history, log and report."""

import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Set, Tuple, Type

import bpy

from gesso.errors import GessoError, InvalidRequest

from ..panel.form import text_to_json
from . import asset, images, material, properties, runtime

if TYPE_CHECKING:
    from ..panel.task import Task


def told(operator: Any, error: GessoError) -> Set[str]:
    """An error as Blender shows it: one sentence with its code, and what to do."""
    where = f"{error.field}: {error.code}" if error.field else error.code
    operator.report({"ERROR"}, f"{error.message} [{where}]" + (f" {error.hint}" if error.hint else ""))
    return {"CANCELLED"}


def context_image(context: Any) -> Any:
    """The picture that is meant where none was chosen: the open one, else the one that the active object shows."""
    space = context.space_data
    if space is not None and space.type == "IMAGE_EDITOR":
        return space.image
    return material.base_image(context.active_object)


def placing(context: Any) -> Dict[str, Any]:
    """Where the result belongs, by names."""
    settings, target = context.scene.gesso, context.active_object
    in_editor = context.space_data is not None and context.space_data.type == "IMAGE_EDITOR"
    memo: Dict[str, Any] = {"mapping": settings.mapping, "tiles": settings.tiles, "relief": settings.relief, "asset": settings.asset}
    memo["editor"] = in_editor
    if target is not None and not in_editor:
        memo.update(object=target.name, slot=target.active_material_index)
    return memo


class Asks:
    """What every operator that asks the daemon for something ends with: the result is waited for where there is no window, ESC is listened
    for where there is one, and an error is told.
    """

    def ask(self, context: Any) -> "List[Task]":
        """Gather and send; raises GessoError."""
        raise NotImplementedError

    def execute(self, context: Any) -> Set[str]:
        """Blender calls it."""
        now = runtime.current()
        try:
            tasks = self.ask(context)
            for task in tasks if bpy.app.background or getattr(self, "wait", False) else ():
                now.wait(task)
        except GessoError as fault:
            return told(self, fault)
        watch(context)
        return {"FINISHED"}


class Run(Asks, bpy.types.Operator):
    """Make what the panel says."""

    bl_idname = "gesso.run"
    bl_label = "Generate"
    bl_description = "Make what the panel says; Blender stays usable meanwhile"

    operation: bpy.props.StringProperty(options={"HIDDEN"})

    def ask(self, context: Any) -> "List[Task]":
        """The operation that was named, else the one that is shown."""
        name = self.operation or context.scene.gesso.operation
        memo = placing(context)
        params = gathered(context, name, memo)
        return [runtime.current().submit(name, params, **memo)]


def gathered(context: Any, name: str, memo: Dict[str, Any]) -> Dict[str, Any]:
    """What the panel says about an operation; a picture that it needs and that was not chosen is the one in front of the user."""
    form = runtime.current().surface.forms.get(name)
    if form is None:
        raise InvalidRequest(f"There is no operation {name!r}.", hint="Choose another.")
    settings = getattr(context.scene, properties.group_name(name))
    params = properties.values(form, settings, images.to_file)
    for field in form.of_kind("image"):
        chosen = getattr(settings, field.name)
        if chosen is None and field.required:
            chosen = context_image(context)
            if chosen is None:
                hint = "Open a picture in the Image Editor, or choose one."
                raise InvalidRequest(f"{field.title} is missing.", field=field.name, hint=hint)
            params[field.name] = images.to_file(chosen)
        if chosen is not None:
            memo.setdefault("image", chosen.name)
    return params


def generate_params(context: Any, prompt: str, parameters: str) -> Dict[str, Any]:
    """For operators that make one picture with the operation Generate: a script's own words, else what the panel says."""
    form = runtime.current().surface.forms["generate"]
    settings = getattr(context.scene, properties.group_name("generate"))
    found = {"prompt": prompt} if prompt else properties.values(form, settings, images.to_file)
    return {**found, "count": 1, **(text_to_json(parameters, "Parameters") or {})}


def watch(context: Any) -> None:
    """Let ESC cancel, as long as something runs."""
    now = runtime.current()
    if bpy.app.background or now.watching or context.window is None:
        return
    bpy.ops.gesso.watch("INVOKE_DEFAULT")


class Watch(bpy.types.Operator):
    """Listens for ESC while something runs, and lets everything else through."""

    bl_idname = "gesso.watch"
    bl_label = "Listen for ESC while Gesso works"
    bl_options = {"INTERNAL"}

    def invoke(self, context: Any, event: Any) -> Set[str]:
        """Begin to listen."""
        runtime.current().watching = True
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Set[str]:
        """ESC ends the newest job; without jobs there is nothing to listen for."""
        now = runtime.current()
        if event.type == "ESC" and event.value == "PRESS" and now.cancel():
            runtime.redraw()
            return {"RUNNING_MODAL"}
        if not now.open_tasks:
            now.watching = False
            return {"FINISHED", "PASS_THROUGH"}
        return {"PASS_THROUGH"}

    def cancel(self, context: Any) -> None:
        """Blender ended it: a file was loaded."""
        runtime.current().watching = False


class Cancel(bpy.types.Operator):
    """Cancel a job at the daemon."""

    bl_idname = "gesso.cancel"
    bl_label = "Cancel"
    bl_description = "Cancel this job; ESC cancels the newest"

    number: bpy.props.IntProperty(options={"HIDDEN"}, default=-1)

    def execute(self, context: Any) -> Set[str]:
        """The job that was named, else the newest."""
        return {"FINISHED"} if runtime.current().cancel(self.number) else {"CANCELLED"}


class Forget(bpy.types.Operator):
    """Take a job that has ended off the list."""

    bl_idname = "gesso.forget"
    bl_label = "Remove from the list"

    number: bpy.props.IntProperty(options={"HIDDEN"}, default=-1)

    def execute(self, context: Any) -> Set[str]:
        """Only the list changes: by the job that was named, else by all that have ended."""
        now = runtime.current()
        for task in [task for task in now.session.tasks.values() if self.number in (-1, task.number)]:
            now.forget(task)
        return {"FINISHED"}


class Place(bpy.types.Operator):
    """Use a result in the file that is open now."""

    bl_idname = "gesso.place"
    bl_label = "Use it here"

    number: bpy.props.IntProperty(options={"HIDDEN"}, default=-1)

    def execute(self, context: Any) -> Set[str]:
        """As if it had just arrived: the one that was named, else the newest that waits."""
        now = runtime.current()
        tasks = [task for task in now.waiting if self.number in (-1, task.number)]
        if not tasks or not now.settle(tasks[-1], here=True):
            return {"CANCELLED"}
        watch(context)
        return {"FINISHED"}


class Choose(bpy.types.Operator):
    """Take another of several results."""

    bl_idname = "gesso.choose"
    bl_label = "Take this one"
    bl_options = {"REGISTER", "UNDO"}

    material: bpy.props.StringProperty(options={"HIDDEN"})

    def execute(self, context: Any) -> Set[str]:
        """Onto the active object's active slot: the one that was named, else the next after the one that is there."""
        target = context.active_object
        found = bpy.data.materials.get(self.material or _next(target))
        if found is None or target is None:
            return {"CANCELLED"}
        material.assign(target, target.active_material_index, found)
        return {"FINISHED"}


def _next(target: Any) -> str:
    """Of the materials that were made together with the object's, the one after it; an empty name where there is none."""
    worn = "" if target is None or target.active_material is None else target.active_material.name
    for task in reversed(list(runtime.current().session.tasks.values())):
        made = task.memo.get("made", [])
        if worn in made:
            return str(made[(made.index(worn) + 1) % len(made)])
    return ""


class Again(Asks, bpy.types.Operator):
    """Make a material again from its recipe, or vary it with another seed."""

    bl_idname = "gesso.again"
    bl_label = "Make it again"
    bl_description = "Make the active material again, from the recipe that it carries"

    vary: bpy.props.BoolProperty(name="Vary", description="With another seed", default=False)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Only what carries a recipe."""
        target = context.active_object
        return target is not None and asset.recipe(target.active_material) is not None

    def ask(self, context: Any) -> "List[Task]":
        """The same words to the same operation."""
        now = runtime.current()
        found = asset.recipe(context.active_object.active_material) or {}
        params = {name: value for name, value in found["params"].items() if not (self.vary and name == "seed")}
        return [now.submit(found["operation"], params, **placing(context))]


class Fix(bpy.types.Operator):
    """What mends the state that the panel shows."""

    bl_idname = "gesso.fix"
    bl_label = "Connect"
    bl_description = "Find the Gesso daemon, or start it"

    name: bpy.props.StringProperty(options={"HIDDEN"}, default="again")

    def execute(self, context: Any) -> Set[str]:
        """Looking for the program is Blender's; all else the session does."""
        now = runtime.current()
        if self.name == "locate":
            bpy.ops.gesso.locate("INVOKE_DEFAULT")
        elif self.name == "example":
            from ..panel import steps

            getattr(context.scene, properties.group_name("texture")).prompt = steps.EXAMPLE
            return set(bpy.ops.gesso.run(operation="texture"))
        elif bpy.app.background:
            now.connect(self.name)
            return {"FINISHED"} if now.session.state.connected else told(self, now.session.last_error or GessoError("Gesso is not there."))
        else:
            now.session.fix(self.name)
        return {"FINISHED"}


class Locate(bpy.types.Operator):
    """Where the program `gesso` lies, for those who have it elsewhere than on the path."""

    bl_idname = "gesso.locate"
    bl_label = "Where is Gesso?"
    bl_description = "Choose the program gesso, such as .venv/bin/gesso"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")

    def invoke(self, context: Any, event: Any) -> Set[str]:
        """Ask with a file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Set[str]:
        """Remember it, and start."""
        from . import preferences

        preferences.remember_program(self.filepath)
        os.environ["GESSO_COMMAND"] = shlex.quote(bpy.path.abspath(self.filepath))
        runtime.current().session.fix("start")
        return {"FINISHED"}


class UsePrompt(bpy.types.Operator):
    """Put a prompt of the history back into the panel."""

    bl_idname = "gesso.use_prompt"
    bl_label = "Use this prompt"

    prompt: bpy.props.StringProperty(options={"HIDDEN"})

    def execute(self, context: Any) -> Set[str]:
        """Into the operation that is shown."""
        settings = getattr(context.scene, properties.group_name(context.scene.gesso.operation))
        if not hasattr(settings, "prompt"):
            return {"CANCELLED"}
        settings.prompt = self.prompt
        return {"FINISHED"}


class OpenLog(bpy.types.Operator):
    """Show the daemon's log."""

    bl_idname = "gesso.open_log"
    bl_label = "Open log"

    def execute(self, context: Any) -> Set[str]:
        """With the program that shows text files."""
        from ..panel import report

        path = report.log_path(runtime.current().session.home)
        if not path.exists():
            self.report({"WARNING"}, f"There is no log yet: {path}")
            return {"CANCELLED"}
        if sys.platform.startswith("linux") and shutil.which("xdg-open") is None:  # Blender would tell its terminal only
            self.report({"ERROR"}, f"There is no program xdg-open to show the log; open {path} in an editor.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


class CopyReport(bpy.types.Operator):
    """Copy a report for an issue."""

    bl_idname = "gesso.copy_report"
    bl_label = "Copy report"
    bl_description = "Copy versions, state, the last error and the end of the log; no prompt is among it"

    def execute(self, context: Any) -> Set[str]:
        """Onto the clipboard."""
        from ..panel import report

        facts = {"Blender": bpy.app.version_string, "built": bpy.app.build_hash.decode("ascii", "replace")}
        context.window_manager.clipboard = report.report(runtime.current().session, facts)
        self.report({"INFO"}, "The report is on the clipboard.")
        return {"FINISHED"}


CLASSES: Tuple[Type[Any], ...] = (Run, Watch, Cancel, Forget, Place, Choose, Again, Fix, Locate, UsePrompt, OpenLog, CopyReport)
