"""With a window that shows an Image Editor: inpaint, outpaint, upscale and seamless repair of the open picture, one undo step each."""

import os

import bpy
from drive import photograph
from gesso_blender.blender import images, painting, runtime
from window import front_tab, run, undo, view
from worked import texels

FOLDER = os.environ["FOLDER"]
EDITOR = "IMAGE_EDITOR"
SIZE = 64


def shown():
    return view(EDITOR)[1].spaces.active.image


def script():
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    area = view()[1]
    area.ui_type = EDITOR
    area.spaces.active.show_region_ui = True
    picture = bpy.data.images.new("slope", SIZE, SIZE)
    rows = [(at % SIZE / SIZE, at // SIZE / SIZE, 0.2, 1.0) for at in range(SIZE * SIZE)]
    picture.pixels.foreach_set([part for row in rows for part in row])
    area.spaces.active.image = picture = images.replace(picture, images.to_file(picture))
    yield from front_tab(EDITOR)
    yield from inpaint(now)
    yield from outpaint(now)
    yield from upscale(now)
    yield from repair(now)


def done(now, task, what):
    """It has come; gives the picture that is shown now. One step back brings the old one back, and one forth the new one."""
    with_size = tuple(shown().size)
    yield lambda: task.ended and task.number in now.messages
    assert task.state == "done", task.error
    assert "made" in task.memo, now.messages[task.number]
    name = shown().name
    assert name == "slope", name
    yield 1.0
    photograph(os.path.join(FOLDER, f"editor-{what}.png"))
    found = tuple(shown().size), texels(shown())
    for back, wanted in ((True, with_size), (False, found[0]), (True, with_size)):
        undo(back)
        yield 0.3
        assert shown() is not None, f"after undo: {back}"
        assert tuple(shown().size) == wanted and shown().name == "slope", (back, tuple(shown().size), shown().name)
    return found


def push():
    with bpy.context.temp_override(window=view(EDITOR)[0]):
        bpy.ops.ed.undo_push(message="settings")


def inpaint(now):
    settings = bpy.context.scene.gesso_edit
    bpy.context.scene.gesso.operation = "edit"
    settings.prompt, settings.model, settings.use_steps, settings.steps, settings.use_seed = "moss", "starter", True, 2, True
    settings.use_blend = settings.use_grow = settings.use_feather = True
    settings.blend = settings.grow = settings.feather = 0
    before = texels(shown())
    run_mask = {"area": view(EDITOR)[1], "region": view(EDITOR)[2], "window": view(EDITOR)[0]}
    with bpy.context.temp_override(**run_mask):
        assert bpy.ops.gesso.new_mask() == {"FINISHED"}
    mask = bpy.data.images[painting.MASK]
    assert shown() == mask
    white = [16 <= at % SIZE < 48 and 16 <= at // SIZE < 48 for at in range(SIZE * SIZE)]
    mask.pixels.foreach_set([part for value in white for part in (value, value, value, 1.0)])
    yield 0.5
    photograph(os.path.join(FOLDER, "editor-mask.png"))
    push()
    task = run(bpy.ops.gesso.edit_masked, EDITOR)
    assert shown().name == "slope"
    _, after = yield from done(now, task, "inpaint")
    assert all(after[at] == before[at] for at in range(SIZE * SIZE) if not white[at])
    assert sum(after[at] != before[at] for at in range(SIZE * SIZE) if white[at]) > 500


def outpaint(now):
    settings = bpy.context.scene.gesso_edit
    before = texels(shown())
    settings.left, settings.top = 32, 16
    push()
    task = run(bpy.ops.gesso.run, EDITOR)
    size, after = yield from done(now, task, "outpaint")
    assert size == (SIZE + 32, SIZE + 16), size
    kept = [after[row * (SIZE + 32) + 32 + column] for row in range(SIZE) for column in range(SIZE)]  # rows count from below
    assert kept == before


def upscale(now):
    bpy.context.scene.gesso.operation = "upscale"
    push()
    task = run(bpy.ops.gesso.run, EDITOR)
    size, _ = yield from done(now, task, "upscale")
    assert size == (2 * SIZE, 2 * SIZE), size


def repair(now):
    bpy.context.scene.gesso.operation = "texture"
    push()
    seam = jump(texels(shown()))
    task = run(bpy.ops.gesso.make_seamless, EDITOR)
    size, after = yield from done(now, task, "seamless")
    assert size == (SIZE, SIZE), size
    assert jump(after) < seam / 4, (jump(after), seam)


def jump(pixels):
    """How far the two ends of a row lie apart."""
    return sum(abs(pixels[row * SIZE][0] - pixels[row * SIZE + SIZE - 1][0]) for row in range(SIZE)) / SIZE
