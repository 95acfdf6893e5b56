"""With a window: how long Blender's main thread stands still. It asserts nothing about time; `bench/blender.py` keeps what it finds."""

import os
import time

import bpy
from gesso_blender.blender import panels, results, runtime
from window import front_tab, run, view


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def draw():
    window, area, region = view()
    began = time.perf_counter()
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    return 1000 * (time.perf_counter() - began)


def script():
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    yield from front_tab()
    found = {"registered_ms": [1000 * part for part in ENABLED]}  # noqa: F821

    task = run(bpy.ops.gesso.generate, prompt="moss", model="starter", steps=400, width=64, height=64, seed=1)
    yield lambda: task.state == "running" and task.preview is not None
    now.ticks.clear()
    yield lambda: task.ended
    ticks = [1000 * seconds for seconds, handed in now.ticks if not handed]
    found["ticks"] = {"count": len(ticks), "p50_ms": quantile(ticks, 0.5), "p99_ms": quantile(ticks, 0.99), "max_ms": max(ticks)}

    plain, spent = results.apply, []

    def timed(ended):
        steps = plain(ended)
        while True:
            began, worked = time.perf_counter(), time.thread_time()
            try:
                part = next(steps)
            except StopIteration as end:
                return end.value
            finally:
                spent.append((1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - worked)))
            yield part

    results.apply = timed
    for size in (256, 1024, 2048, 4096):
        for operation in ("generate", "texture"):
            spent.clear()
            words = {"prompt": "red brick", "model": "procedural", "width": size, "height": size, "seed": 5}
            task = run(getattr(bpy.ops.gesso, operation), **words)
            yield lambda: task.ended and task.number in now.messages  # noqa: B023
            assert "made" in task.memo, now.messages[task.number]
            image = _shown(task.memo["made"][0], operation)
            began, worked = time.perf_counter(), time.thread_time()
            tuple(image.size)  # Blender decodes a picture when it is first looked at
            decoded = (1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - worked))
            found[f"{operation}_{size}"] = {
                "hand_over_ms": spent[0][0],
                "decode_ms": decoded[0],
                "shown_ms": spent[0][0] + decoded[0],
                "shown_cpu_ms": spent[0][1] + decoded[1],
                "undo_ms": spent[1][0],
            }
    yield from _projections(now, spent, found)
    results.apply = plain
    found["panel_ms"] = _panel()
    found["load"] = os.getloadavg()[0]
    return found


def _projections(now, spent, found):
    """How long each tick takes while a picture is painted onto an object of 12, then of 100,352 triangles: what is written for the second
    Blender, the start of it, the ticks in which it works, and what comes of it: colours, weights, material, undo.
    """
    for name, sides in (("cube", 0), ("grid", 224)):
        if sides:
            with bpy.context.temp_override(window=view()[0], area=view()[1], region=view()[2]):
                bpy.ops.mesh.primitive_grid_add(x_subdivisions=sides, y_subdivisions=sides, size=2)
        for size in ("1024", "2048"):
            spent.clear()
            began = time.perf_counter()
            task = run(bpy.ops.gesso.project, size=512, texture=size, prompt="red brick", parameters='{"model": "procedural", "seed": 5}')
            pressed = 1000 * (time.perf_counter() - began)
            yield lambda: task.ended and task.number in now.messages  # noqa: B023
            assert "made" in task.memo, now.messages[task.number]
            found[f"projection_{name}_{size}"] = {"pressed_ms": pressed, **_steps(spent)}


def _steps(spent):
    """By their place: the first two and the last four hand over, all others wait."""
    (written, started), waited, (colours, weights, material, undo) = spent[:2], spent[2:-4], spent[-4:]
    told = {"ticks": len(spent), "waited_p50_ms": quantile([took for took, _ in waited], 0.5)}
    told |= {"waited_p99_ms": quantile([took for took, _ in waited], 0.99), "waited_p99_cpu_ms": quantile([cpu for _, cpu in waited], 0.99)}
    parts = {"written": written, "started": started, "colours": colours, "weights": weights, "material": material, "undo": undo}
    for part, (took, cpu) in parts.items():
        told |= {f"{part}_ms": took, f"{part}_cpu_ms": cpu}
    return told


def _shown(name, operation):
    if operation == "generate":
        return bpy.data.images[name]
    return next(node.image for node in bpy.data.materials[name].node_tree.nodes if node.label == "Base color")


def _panel():
    """The drawing of our panel by itself, from how long its form takes."""
    took = []
    plain = panels.draw_form

    def timed(*words):
        began = time.perf_counter()
        plain(*words)
        took.append(1000 * (time.perf_counter() - began))

    panels.draw_form = timed
    for _ in range(5):
        runtime.redraw()
        draw()
    panels.draw_form = plain
    return sorted(took)[len(took) // 2] if took else None
