"""With a window: editing under a mask, projecting from the view, renders, undo during a run, a daemon that is killed, and an operation
that nobody knew.
"""

import contextlib
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import bpy
from drive import photograph
from gesso_blender.blender import aside, baking, looking, painting, panels, properties, runtime, texture
from gesso_blender.gesso.client import Client
from gesso_blender.gesso.wire import discovery
from gesso_blender.gesso.wire.home import Home
from gesso_blender.panel import form
from window import front_tab, material, press_escape, run, undo, view

FOLDER = os.environ["FOLDER"]
EDGE = 256


def texels(image):
    values = [0.0] * (image.size[0] * image.size[1] * image.channels)
    image.pixels.foreach_get(values)
    return [values[at : at + 3] for at in range(0, len(values), image.channels)]


def script():
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    yield from front_tab()
    yield from an_edit_under_a_mask(now)
    yield from a_projection_from_the_view(now)
    yield from a_render_gets_the_device(now)
    yield from an_undo_during_a_run(now)
    yield from a_daemon_is_killed(now)
    yield from an_operation_that_nobody_knew(now)
    return {}


def an_edit_under_a_mask(now):
    task = run(bpy.ops.gesso.texture, prompt="red brick", width=EDGE, height=EDGE, seed=2)
    yield lambda: "made" in task.memo
    tile = base_colour()
    name, before = tile.name, texels(tile)
    settings = bpy.context.scene.gesso_edit
    settings.prompt, settings.model = "moss", "starter"
    settings.use_steps, settings.steps, settings.use_seed, settings.seed = True, 8, True, 3
    settings.use_blend, settings.use_grow, settings.use_feather = True, True, True
    settings.blend = settings.grow = settings.feather = 0
    bpy.context.scene.gesso.operation = "edit"
    view()[1].spaces.active.region_3d.view_distance = 6.0
    run(bpy.ops.gesso.new_mask)
    mask = bpy.data.images[painting.MASK]
    assert tuple(mask.size) == (EDGE, EDGE)
    assert bpy.context.scene.tool_settings.image_paint.canvas == mask
    assert bpy.context.object.mode == "TEXTURE_PAINT"
    low, high = EDGE // 4, 3 * EDGE // 4
    white = [1.0 if low <= at % EDGE < high and low <= at // EDGE < high else 0.0 for at in range(EDGE * EDGE)]
    mask.pixels.foreach_set([part for value in white for part in (value, value, value, 1.0)])
    mask.update()
    yield 1.0
    photograph(os.path.join(FOLDER, "mask.png"))
    with bpy.context.temp_override(window=view()[0]):
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.ops.ed.undo_push(message="mask")
    task = run(bpy.ops.gesso.edit_masked)
    yield lambda: task.ended and task.number in now.messages
    assert task.state == "done", task.error
    assert "made" in task.memo, now.messages
    after = texels(bpy.data.images[name])
    assert all(after[at] == before[at] for at in range(EDGE * EDGE) if not white[at])
    assert sum(after[at] != before[at] for at in range(EDGE * EDGE) if white[at]) > 500
    assert base_colour() == bpy.data.images[name]
    yield 1.0
    photograph(os.path.join(FOLDER, "masked.png"))
    undo()
    yield 0.5
    assert texels(base_colour()) == before and base_colour().name == name
    undo(back=False)
    yield 0.5
    assert texels(base_colour()) == after


def base_colour():
    return next(node.image for node in material().node_tree.nodes if node.label == "Base color")


def second():
    """(process, folder) of the Blender that bakes; None where there is none."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if any(word.endswith(b"/baker.py") for word in words) and f"PPid:\t{os.getpid()}\n" in (entry / "status").read_text():
                return int(entry.name), Path(words[-2].decode())
    return None


def held():
    """Names of all that a bake could leave behind."""
    kinds = (bpy.data.images, bpy.data.materials, bpy.data.objects, bpy.data.meshes, bpy.data.cameras, bpy.data.scenes)
    return sorted(thing.name for kind in kinds for thing in kind)


def a_projection_from_the_view(now):
    before, found = material().name, held()
    bpy.context.scene.gesso.operation = "generate"
    bpy.context.scene.gesso_generate.prompt = "slate"
    words = {"size": 128, "parameters": '{"model": "procedural", "seed": 6}'}
    task = run(bpy.ops.gesso.project, texture="2048", **words)
    yield lambda: now.placing(task) is not None and now.placing(task).fraction > 0
    process, folder = second()
    assert (folder / "objects.blend").exists()
    press_escape()
    yield lambda: task.number in now.messages
    assert now.messages[task.number] == "Stopped." and now.waiting == [task], now.messages[task.number]
    assert (material().name, held()) == (before, found)
    yield lambda: second() is None and not folder.exists()

    place_again()
    yield lambda: now.placing(task) is not None and now.placing(task).fraction > 0
    process, folder = second()
    os.kill(process, signal.SIGKILL)
    yield lambda: task.number in now.messages
    assert "ended with status -9" in now.messages[task.number] and "Nothing was changed." in now.messages[task.number], now.messages
    assert (material().name, held(), now.waiting) == (before, found, [task])
    yield lambda: not folder.exists()

    app, aside.bpy = aside.bpy, SimpleNamespace(data=bpy.data, app=SimpleNamespace(binary_path="/no/blender", autoexec_fail=False))
    place_again()
    yield lambda: task.number in now.messages
    aside.bpy = app
    assert "could not be started" in now.messages[task.number] and "'/no/blender'" in now.messages[task.number], now.messages
    assert (material().name, held(), now.waiting) == (before, found, [task])

    task = run(bpy.ops.gesso.project, texture="256", **words)
    yield lambda: task.number in now.messages
    assert now.messages[task.number] == "Projected onto Cube.", now.messages[task.number]
    assert material().name == "Cube projected"
    yield 1.5
    photograph(os.path.join(FOLDER, "projected.png"))
    undo()
    yield 0.5
    assert material().name == before, material().name
    yield from what_was_painted_is_kept(now)


def place_again():
    with bpy.context.temp_override(window=view()[0], area=view()[1], region=view()[2]):
        assert bpy.ops.gesso.place() == {"FINISHED"}


def what_was_painted_is_kept(now):
    """An object without UVs and a texture that was painted on and never saved, and the same baked in this process: to the byte."""
    with bpy.context.temp_override(window=view()[0], area=view()[1], region=view()[2]):
        bpy.ops.mesh.primitive_monkey_add()
    target = bpy.context.view_layer.objects.active
    target.data.uv_layers.remove(target.data.uv_layers[0])
    task = run(bpy.ops.gesso.project, prompt="moss", size=128, texture="256", parameters='{"model": "procedural", "seed": 6}')
    yield lambda: task.number in now.messages
    assert now.messages[task.number] == "Projected onto Suzanne.", now.messages[task.number]
    assert [layer.name for layer in target.data.uv_layers] == [baking.UV_NAME]
    first = target.active_material.node_tree.nodes["Gesso projection"].image
    assert max(part for texel in texels(first) for part in texel[:2]) > 0.2, "the picture is not on it"
    first.pixels.foreach_set([1.0, 0.0, 1.0, 1.0] * 256 * 256)
    task = run(bpy.ops.gesso.project, prompt="moss", size=128, texture="256", parameters='{"model": "procedural", "seed": 7}')
    seen, depth = looking.View(**task.memo["projection"]["view"]), bpy.data.images[task.memo["projection"]["depth"]].copy()
    yield lambda: task.ended
    folder = Path(FOLDER, "own")
    folder.mkdir()
    (folder / baking.PICTURE).write_bytes(task.result.images[0].read())
    with baking.standing(target, False) as (stand, _):
        work = baking.Work(stand.name, seen, depth.name, baking.UV_NAME, 256, 1, False, texture.of(target))
        assert sum(1 for _ in baking.bake(work, folder)) == baking.steps(work)
    yield lambda: task.number in now.messages
    image = target.active_material.node_tree.nodes["Gesso projection"].image
    assert image != first and bytes(image.packed_file.data) == (folder / baking.COLOURS).read_bytes()
    weights = target.active_material[texture.WEIGHT]
    assert bytes(weights.packed_file.data) == (folder / baking.WEIGHTS).read_bytes()
    kept = sum(texel == [1.0, 0.0, 1.0] for texel in texels(image)) / 256**2
    assert 0.2 < kept < 0.95, kept
    assert max(texel[0] for texel in texels(weights)) > 1.0, "the weights of two views"
    bpy.data.images.remove(depth)
    bpy.data.objects.remove(target)
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]


def a_render_gets_the_device(now):
    seen = []

    def during(*_words):
        with Client(start=False) as client:
            seen.append(client.status()["suspended"])

    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.resolution_x = scene.render.resolution_y = 64
    bpy.app.handlers.render_pre.append(during)
    with bpy.context.temp_override(window=view()[0]):
        bpy.ops.render.render()
    bpy.app.handlers.render_pre.remove(during)
    assert seen == [True], seen
    yield lambda: not now.session.suspended
    with Client(start=False) as client:
        assert client.status()["suspended"] is False
    task = run(bpy.ops.gesso.stylise_render, prompt="moss", parameters='{"model": "starter", "steps": 2, "seed": 1}')
    yield lambda: task.ended and task.number in now.messages
    assert task.state == "done", task.error
    assert tuple(bpy.data.images[task.memo["made"][0]].size) == (64, 64)


def an_undo_during_a_run(now):
    with bpy.context.temp_override(window=view()[0]):
        bpy.data.objects["Cube"].location.x = 1.0
        bpy.ops.ed.undo_push(message="move")
    now.session.suspend()
    yield lambda: now.session.suspended
    task = run(bpy.ops.gesso.texture, prompt="granite", width=64, height=64, seed=8)
    yield lambda: task.job
    undo()
    yield 0.3
    assert bpy.data.objects["Cube"].location.x == 0.0
    now.session.resume()
    yield lambda: "made" in task.memo
    assert material().name == task.memo["made"][0]


def a_daemon_is_killed(now):
    task = run(bpy.ops.gesso.generate, prompt="moss", model="starter", steps=60, width=64, height=64, seed=9)
    yield lambda: task.state == "running" and task.step > 0
    killed = discovery.read(Home.find()).pid
    os.kill(killed, signal.SIGKILL)
    yield lambda: task.ended and task.number in now.messages
    assert task.state == "done", task.error
    yield lambda: now.session.state.connected
    assert discovery.read(Home.find()).pid != killed


def an_operation_that_nobody_knew(now):
    odd = {"type": "number", "default": 0.5, "title": "Strangeness", "x-ui": {"widget": "hologram", "group": "new"}}
    params = {"type": "object", "properties": {"strangeness": odd, "list": {"type": "array", "default": []}}, "required": []}
    document = {**now.session.document}
    document["operations"] = {**document["operations"], "plug.conjure": {"title": "Conjure", "summary": "Odd.", "params": params}}
    now.surface = form.parse(document)
    now.on_surface()
    drawn = []
    plain = panels.draw_field
    panels.draw_field = lambda layout, field, values: (plain(layout, field, values), drawn.append(field.name))
    bpy.context.scene.gesso.operation = "plug.conjure"
    runtime.redraw()
    yield lambda: {"strangeness", "list"} <= set(drawn)
    photograph(os.path.join(FOLDER, "unknown.png"))
    panels.draw_field = plain
    assert hasattr(bpy.context.scene, properties.group_name("plug.conjure"))
    assert abs(bpy.context.scene.gesso_plug_conjure.strangeness - 0.5) < 1e-6
    assert bpy.context.scene.gesso_edit.steps == 8  # what a file remembers outlives new schemas
