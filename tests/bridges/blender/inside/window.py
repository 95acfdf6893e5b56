"""With a window: the panel is drawn and photographed, jobs run, are cancelled, survive files and undo, and never block."""

import os
import statistics

import bpy
from drive import photograph
from gesso_blender.blender import panels, runtime

FOLDER = os.environ["FOLDER"]


def view(kind="VIEW_3D"):
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == kind)
    return window, area, next(region for region in area.regions if region.type == "WINDOW")


def click(x, y):
    window = bpy.context.window_manager.windows[0]
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    window.event_simulate(type="LEFTMOUSE", value="PRESS", x=x, y=y)
    window.event_simulate(type="LEFTMOUSE", value="RELEASE", x=x, y=y)


def run(operator, kind="VIEW_3D", **words):
    window, area, region = view(kind)
    with bpy.context.temp_override(window=window, area=area, region=region):
        assert operator("INVOKE_DEFAULT", **words) == {"FINISHED"}
    return runtime.current().session.tasks[max(runtime.current().session.tasks)]


def undo(back=True):
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        (bpy.ops.ed.undo if back else bpy.ops.ed.redo)()


def material():
    return bpy.data.objects["Cube"].active_material


def front_tab(kind="VIEW_3D"):
    """The sidebar's tab "Gesso": older Blenders have no other way than a click. The tabs stand below each other; ours is the last."""
    drawn = []
    plain = panels.draw_form
    panels.draw_form = lambda *words: (drawn.append(words), plain(*words))
    yield 1.0
    panel = next(region for region in view(kind)[1].regions if region.type == "UI")
    if hasattr(panel, "active_panel_category"):
        panel.active_panel_category = panels.CATEGORY
        runtime.redraw(views=True)
        yield 1.0
    for below in () if drawn else (140, 150, 160, 120, 180, 200, 220, 240):
        click(panel.x + panel.width - 10, panel.y + panel.height - below)
        yield 1.0
        if drawn:
            break
    photograph(os.path.join(FOLDER, "tab.png"))
    assert drawn, "the panel was never drawn"
    panels.draw_form = plain


def script():
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    yield from front_tab()
    yield 1.0
    photograph(os.path.join(FOLDER, "first-run.png"))
    yield from one_undo_step(now)
    yield from several_at_once(now)
    from reached import at_any_scale, by_keyboard  # which imports this script as a module

    reached = yield from by_keyboard(now)
    yield from at_any_scale()
    cancelled = yield from escape_and_button(now)
    ticks = sorted(1000 * seconds for seconds, handed in now.ticks if not handed)
    handed = sorted(1000 * seconds for seconds, handed in now.ticks if handed)
    cancelled += yield from a_file_is_loaded(now)
    return {
        **reached,
        "cancelled": cancelled,
        "tick_p99_ms": ticks[int(0.99 * len(ticks))],
        "tick_median_ms": statistics.median(ticks),
        "ticks": len(ticks),
        "handed_ms": handed,
    }


def one_undo_step(now):
    window = view()[0]
    scene = bpy.context.scene
    scene.gesso.operation = "texture"
    scene.gesso_texture.prompt = "red brick wall"
    scene.gesso_texture.use_width = scene.gesso_texture.use_height = scene.gesso_texture.use_seed = True
    scene.gesso_texture.width = scene.gesso_texture.height = 256
    scene.gesso_texture.seed = 21
    with bpy.context.temp_override(window=window):
        bpy.ops.ed.undo_push(message="settings")
    before = material().name
    task = run(bpy.ops.gesso.run)
    yield lambda: task.ended and "made" in task.memo
    assert task.state == "done", task.error
    made = material().name
    assert made != before and made == task.memo["made"][0], (made, before)
    tile = next(node.image for node in material().node_tree.nodes if node.label == "Base color")
    assert tuple(tile.size) == (256, 256)
    colour = tile.pixels[0:3]
    assert max(colour) > 0.05, colour
    yield 0.5
    photograph(os.path.join(FOLDER, "panel.png"))
    undo()
    yield 0.3
    assert material().name == before and made not in bpy.data.materials, material().name
    undo(back=False)
    yield 0.3
    assert material().name == made, material().name


def several_at_once(now):
    scene = bpy.context.scene
    scene.gesso_texture.count = 3
    scene.gesso_texture.prompt = "oak planks"
    tasks = [run(bpy.ops.gesso.run), run(bpy.ops.gesso.texture, prompt="slate", width=64, height=64)]
    assert len(now.open_tasks) == 2
    yield lambda: all(task.ended and task.memo.get("unseen") == [] for task in tasks)
    assert len(tasks[0].memo["made"]) == 3
    yield 0.5
    photograph(os.path.join(FOLDER, "choose.png"))
    other = tasks[0].memo["made"][2]
    window, area, region = view()
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.gesso.choose("EXEC_DEFAULT", material=other)
    assert material().name == other


def press_escape():
    window, area, _ = view()
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=area.x + area.width // 3, y=area.y + area.height // 3)
    window.event_simulate(type="ESC", value="PRESS", x=area.x + area.width // 3, y=area.y + area.height // 3)
    window.event_simulate(type="ESC", value="RELEASE", x=area.x + area.width // 3, y=area.y + area.height // 3)


def escape_and_button(now):
    """A long job of the small diffusion model, cancelled while it runs."""
    states = []
    for way in ("esc", "button"):
        task = run(bpy.ops.gesso.generate, prompt="moss", model="starter", steps=1000, width=64, height=64, seed=5)
        yield lambda: task.state == "running" and task.fraction > 0 and task.preview is not None  # noqa: B023
        yield 0.5
        photograph(os.path.join(FOLDER, f"progress-{way}.png"))
        if way == "esc":
            press_escape()
        else:
            window, area, region = view()
            with bpy.context.temp_override(window=window, area=area, region=region):
                bpy.ops.gesso.cancel("EXEC_DEFAULT", number=task.number)
        yield lambda: task.ended  # noqa: B023
        assert task.state == "cancelled", task.state
        states.append((way, task.job))
    return states


def a_file_is_loaded(now):
    """The job goes on, its result waits to be asked for, and ESC is heard as before."""
    path = os.path.join(FOLDER, "scene.blend")
    with bpy.context.temp_override(window=view()[0]):
        bpy.ops.wm.save_as_mainfile(filepath=path)
    task = run(bpy.ops.gesso.texture, prompt="gravel", width=256, height=256, seed=3)
    bpy.ops.wm.open_mainfile(filepath=path)
    yield lambda: task.ended and task.number in now.messages
    assert task.state == "done" and "no longer open" in now.messages[task.number], now.messages[task.number]
    assert "gravel" not in bpy.data.materials
    window, area, region = view()
    with bpy.context.temp_override(window=window, area=area, region=region):
        assert bpy.ops.gesso.place("EXEC_DEFAULT", number=task.number) == {"FINISHED"}
    assert material().name == "gravel"
    task = run(bpy.ops.gesso.generate, prompt="moss", model="starter", steps=1000, width=64, height=64, seed=6)
    yield lambda: task.state == "running" and now.watching
    press_escape()
    yield lambda: task.ended
    assert task.state == "cancelled", task.state
    return [("file", task.job)]
