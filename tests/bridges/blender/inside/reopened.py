"""With a window: what the killed Blender had asked for is there. Frames are written by themselves; the rest waits until it is wanted."""

import os

import bpy
from drive import base_colour, mean_colour, photograph
from gesso_blender.blender import runtime
from window import front_tab, material, view

FOLDER = os.environ["FOLDER"]


def script():
    bpy.ops.wm.open_mainfile(filepath=os.path.join(FOLDER, "closed.blend"))
    now = runtime.current()
    yield lambda: now.begun and len(now.session.tasks) == 3
    texture, projection, frame = now.session.tasks.values()
    yield lambda: len(now.messages) == 3
    assert [task.state for task in (texture, projection, frame)] == ["done"] * 3, [task.words for task in now.session.tasks.values()]
    assert now.messages[texture.number] == now.messages[projection.number] == "Made before Blender was closed.", now.messages
    assert now.messages[frame.number].startswith("Written: "), now.messages
    assert "slate" not in bpy.data.materials
    yield from front_tab()
    yield 0.5
    photograph(os.path.join(FOLDER, "reopened.png"))
    window, area, region = view()
    with bpy.context.temp_override(window=window, area=area, region=region):
        assert bpy.ops.gesso.place("EXEC_DEFAULT", number=texture.number) == {"FINISHED"}
        assert material().name == "slate"
        assert material()["gesso_recipe"].count('"seed": 8') == 1
        colour = mean_colour(base_colour(material()))
        mapping = next(node for node in material().node_tree.nodes if node.type == "MAPPING")
        assert tuple(mapping.inputs["Scale"].default_value) == (2.0, 2.0, 2.0)
        assert bpy.ops.gesso.place("EXEC_DEFAULT", number=projection.number) == {"FINISHED"}
    yield lambda: projection.number in now.messages
    assert now.messages[projection.number] == "Projected onto Cube.", now.messages
    assert now.unfinished.jobs == {}
    painted = next(node.image for node in material().node_tree.nodes if node.name == "Gesso projection")
    return {"colour": colour, "painted": mean_colour(painted)}
