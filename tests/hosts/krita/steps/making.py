"""The first run without a daemon; other operations by their schemas; a layer left out; quitting while a job runs."""

from gesso_krita.krita.qt import QtWidgets
from hands import close, hatched, landed, prepare, select


def steps(lab):
    panel = prepare(lab)
    yield from first_run(lab, panel)
    yield from operations(lab, panel)
    panel.choose("edit:inpaint")
    yield from exclusion_and_actions(lab, panel)
    yield from quitting(lab, panel)


def first_run(lab, panel):
    yield (lambda: panel.session.state.name == "stopped"), 60
    yield 0.5
    lab.photograph("stopped.png")
    fix = panel.button("fix")
    labels = [label.text() for label in panel.docker.steps_box.findChildren(QtWidgets.QLabel)]
    lab.note(stopped=panel.child(QtWidgets.QLabel, "state").text(), fix=[fix.isVisible(), fix.text()], first_steps=labels)
    lab.click(fix)
    yield (lambda: panel.session.state.connected and panel.docker.panel is not None), 120
    yield 0.5
    button = panel.docker.findChild(QtWidgets.QPushButton, "gesso_example")
    lab.note(documents_before=len(lab.krita.documents()), example=button is not None and button.isVisible())
    lab.click(button)
    yield (lambda: panel.tasks and panel.tasks[0].ended and panel.tasks[0].memo.get("applied")), 180
    yield 1.0
    lab.photograph("example.png")
    lab.note(documents_after=len(lab.krita.documents()), steps_left=panel.docker.steps_box.isVisible())


def operations(lab, panel):
    """Several pictures by `generate`, six maps by `texture`, a larger document by `upscale`."""
    found = {}
    document, base, rows = hatched(lab, 128, 96)
    yield 0.3
    select(document, 40, 30, 40, 40)
    panel.choose("generate")
    yield 0.3
    panel.set(prompt="red brick", model="procedural", width=32, height=32, count=2, seed=3)
    task = panel.docker.submit()
    yield landed(task)
    yield 0.3
    group = next(node for node in document.topLevelNodes() if node.name() == "Gesso: red brick")
    bounds = group.childNodes()[0].bounds()
    box = [bounds.x(), bounds.y(), bounds.width(), bounds.height()]
    found["generate"] = [box, [child.name() for child in group.childNodes()], task.job]
    menu = panel.docker.earlier.menu()
    menu.aboutToShow.emit()
    found["earlier"] = [action.text() for action in menu.actions()]
    panel.choose("texture")
    yield 0.3
    panel.set(prompt="worn planks", width=64, height=64, seed=3)
    task = panel.docker.submit()
    yield landed(task)
    yield 0.3
    group = next(node for node in document.topLevelNodes() if node.name() == "Gesso: worn planks")
    found["texture"] = sorted(child.name() for child in group.childNodes())
    found["below"] = bytes(base.pixelData(0, 0, 128, 96)) == rows
    view = lab.window.activeView()
    view.canvas().setWrapAroundMode(True)
    panel.choose("generate")
    yield 0.3
    panel.set(prompt="wrapped moss", model="procedural", width=64, height=64, count=1)
    task = panel.docker.submit()
    view.canvas().setWrapAroundMode(False)
    yield landed(task)
    found["wrapped"] = task.job
    lab.krita.activeDocument().setSelection(None)
    panel.choose("upscale")
    yield 0.3
    panel.set(upscaler="lanczos")
    task = panel.docker.submit()
    yield landed(task)
    yield 0.5
    made = lab.krita.documents()[-1]
    found["upscale"] = [made.width(), made.height(), task.job, panel.child(QtWidgets.QLabel, "message").text()]
    yield from close(made)
    lab.note(operations=found)


def exclusion_and_actions(lab, panel):
    """A layer is left out by its action, and what is asked for by an action does not show it."""
    document, _, _ = hatched(lab, 128, 96)
    cover = document.createNode("cover", "paintlayer")
    cover.setPixelData(b"\xff\xff\xff\xff" * 128 * 96, 0, 0, 128, 96)
    document.rootNode().addChildNode(cover, None)
    yield 0.3
    document.setActiveNode(cover)
    yield 0.5
    select(document, 30, 30, 30, 30)
    lab.act("gesso_exclude_layer")
    yield 0.2
    lab.note(told=panel.docker.place.told.text())
    panel.set(prompt="under the cover", steps=1, seed=6, guidance=1.0)
    before = len(panel.tasks)
    lab.act("gesso_submit")
    yield (lambda: len(panel.tasks) == before + 1), 10
    task = panel.tasks[-1]
    yield landed(task)
    lab.note(excluded_job=task.job, cover_visible=cover.visible(), action_state=task.state)
    yield from close(document)


def quitting(lab, panel):
    """Krita quits while a job runs; the next start finds it."""
    document, _, _ = hatched(lab, 128, 96)
    yield 0.3
    select(document, 30, 30, 30, 30)
    panel.set(prompt="left behind", steps=40, seed=7, guidance=1.0)
    task = panel.docker.submit()
    yield (lambda: task.state == "running"), 60
    lab.note(left=task.job)
