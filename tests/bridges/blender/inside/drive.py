"""Runs inside Blender: drives a script step by step, from Blender's own loop where there is a window, and leaves a verdict.

A script is a generator: it yields seconds to wait, or a condition to wait for. What it returns is the verdict. An exception and a condition
that does not hold while nothing moves end Blender with a status that is not 0.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback

import bpy

PATIENCE = 240.0
STARTED = time.time()


def log(*words):
    print(f"[{time.time() - STARTED:6.2f}]", *words, flush=True)


def finish(verdict, code):
    with open(os.environ["VERDICT"], "w") as file:
        json.dump(verdict, file)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def standing():
    """How things stand with the daemon and the jobs."""
    from gesso_blender.blender import runtime

    session = runtime.current().session
    return [session.state.sentence, *(f"{task.operation}: {task.state}, {task.words}" for task in session.tasks.values())]


def photograph(path):
    """What is really on the screen: Blender's own screenshot is black on some builds."""
    subprocess.run(["import", "-window", "root", path], check=True)


def mean_colour(image):
    """Of all its texels, as they are kept."""
    values = [0.0] * len(image.pixels)
    image.pixels.foreach_get(values)
    return [sum(values[channel :: image.channels]) / (len(values) // image.channels) for channel in range(3)]


def base_colour(material):
    """The picture of a material that was made by `texture`."""
    return next(node.image for node in material.node_tree.nodes if node.label == "Base color")


class Drive:
    def __init__(self, script):
        self.script = script
        self.condition = None
        self.deadline = 0.0
        self.moved = None

    def step(self):
        """One step; gives the pause until the next one, or None at the end."""
        if self.condition is not None:
            if not self.condition():
                self.wait()
                return 0.05
            self.condition = None
        try:
            wanted = next(self.script)
        except StopIteration as end:
            finish({"ok": True, **(end.value or {})}, 0)
        if callable(wanted):
            self.condition, self.deadline = wanted, time.time() + PATIENCE
            return 0.02
        return wanted

    def wait(self):
        """A machine may be busy: patience ends once nothing has moved for so long, however long a job takes."""
        now = standing()
        if now != self.moved:
            self.moved, self.deadline = now, time.time() + PATIENCE
        if time.time() > self.deadline:
            raise AssertionError(f"it did not happen, and nothing moved for {PATIENCE:g} s: {self.place()}; {now}")

    def place(self):
        """Where the innermost script waits."""
        script = self.script
        while script.gi_yieldfrom is not None:
            script = script.gi_yieldfrom
        return f"{script.__name__}, line {script.gi_frame.f_lineno}"

    def guarded(self):
        try:
            return self.step()
        except BaseException:
            fault = traceback.format_exc()
            log(fault)
            finish({"ok": False, "fault": fault}, 2)


def main():
    import addon_utils  # found only once bpy has been imported, where Blender is a module

    path = os.environ["SCRIPT"]
    spec = importlib.util.spec_from_file_location("script", path)
    module = importlib.util.module_from_spec(spec)
    if os.environ.get("ADDON", "1") == "1":
        began, spent = time.perf_counter(), time.thread_time()
        if addon_utils.enable("gesso_blender", default_set=True) is None:
            finish({"ok": False, "fault": "the add-on could not be turned on"}, 3)
        module.ENABLED = (time.perf_counter() - began, time.thread_time() - spent)
    spec.loader.exec_module(module)
    drive = Drive(module.script())
    if not bpy.app.background:
        bpy.context.preferences.view.show_splash = False
        bpy.context.preferences.system.viewport_aa = "OFF"  # every frame is drawn by the processor
        for screen in bpy.data.screens:  # solid shading: anything else takes seconds a frame without a GPU
            for area in screen.areas:
                if area.type == "VIEW_3D":
                    area.spaces.active.shading.type = "SOLID"
                    area.spaces.active.shading.color_type = "TEXTURE"
                    area.spaces.active.show_region_ui = True
        bpy.app.timers.register(drive.guarded, first_interval=1.0, persistent=True)
        return
    while True:
        time.sleep(drive.guarded() or 0.0)


if __name__ == "__main__":  # scripts import it as well
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    main()
