"""A person's first minutes: type a prompt, click, get a layer; undo, redo, cancel; see the daemon die and come back."""

import os
import signal

from gesso_krita.krita.qt import QtCore, QtWidgets
from krita import Selection

WIDTH, HEIGHT = 320, 256


class Panel:
    """The docker, by the names of its widgets."""

    def __init__(self, lab):
        self.docker = next(docker for docker in lab.krita.dockers() if docker.objectName() == "gesso")
        self.controller = self.docker.controller
        self.session = self.controller.session

    def child(self, kind, name):
        return self.docker.findChild(kind, f"gesso_{name}")

    def button(self, name):
        return self.child(QtWidgets.QPushButton, name)

    @property
    def tasks(self):
        return list(self.session.tasks.values())

    def set(self, **values):
        self.docker.panel.fill({**self.docker.panel.values(), **values})


def prepare(lab):
    """The window over the whole screen, the docker wide and in front."""
    window = lab.window.qwindow()
    window.resize(1600, 1000)
    window.move(0, 0)
    panel = Panel(lab)
    panel.docker.setVisible(True)
    panel.docker.raise_()
    window.resizeDocks([panel.docker], [460], QtCore.Qt.Orientation.Horizontal)
    for other in window.findChildren(QtWidgets.QDockWidget):
        if other is not panel.docker and not other.isFloating() and other.objectName() not in ("ToolBox",):
            other.setVisible(False)
    return panel


def hatched(lab, width=WIDTH, height=HEIGHT):
    """A document whose every pixel is known."""
    document = lab.open(width, height)
    rows = b"".join(bytes((x * 3 % 256, y * 5 % 256, (x + y) % 256, 255)) for y in range(height) for x in range(width))
    base = document.topLevelNodes()[0]
    base.setPixelData(rows, 0, 0, width, height)
    document.refreshProjection()
    document.waitForDone()
    return document, base, rows


def select(document, x, y, width, height, feather=0):
    chosen = Selection()
    chosen.select(x, y, width, height, 255)
    if feather:
        chosen.feather(feather)
    document.setSelection(chosen)
    document.waitForDone()


def layers(document):
    nodes = [node for node in document.topLevelNodes() if node.type() != "selectionmask"]
    return [[node.name(), node.type(), [child.name() for child in node.childNodes()]] for node in nodes]


def steps(lab):
    lab.krita.setBatchmode(True)
    panel = prepare(lab)
    yield (lambda: panel.docker.panel is not None), 60
    document, base, rows = hatched(lab)
    yield 1.0
    lab.photograph("first.png")
    lab.note(
        state=panel.child(QtWidgets.QLabel, "state").text(),
        operations=[panel.docker.operation.itemText(i) for i in range(panel.docker.operation.count())],
        steps_shown=panel.docker.steps_box.isVisible(),
    )
    select(document, 140, 110, 50, 40, feather=3)
    yield 0.3
    yield from paint(lab, panel, document, base, rows)
    yield from cancelled(lab, panel)
    yield from killed(lab, panel)
    yield from settings(lab, panel)


def words(lab, panel):
    """Typed into the prompt; then three times the tabulator."""
    prompt = panel.docker.findChild(QtWidgets.QPlainTextEdit, "gesso_field_prompt")
    lab.click(prompt)
    yield 0.5
    lab.type("red brick wall")
    yield (lambda: prompt.toPlainText() == "red brick wall"), 20
    order = ["gesso_field_prompt"]
    for _ in range(3):
        lab.press("Tab")
        yield 0.4
        order.append(QtWidgets.QApplication.focusWidget().objectName())
    lab.note(order=order)


def paint(lab, panel, document, base, rows):
    """Prompt and click by the X server; the result is a layer in its place, one step of the history."""
    yield from words(lab, panel)
    panel.set(steps=2, guidance=1.0, seed=7)
    yield 0.3
    lab.click(panel.button("generate"))
    yield (lambda: panel.tasks and panel.tasks[0].ended), 180
    task = panel.tasks[0]
    yield (lambda: task.memo.get("applied")), 20
    yield 0.5
    document.waitForDone()
    lab.photograph("done.png")
    group = next(node for node in document.topLevelNodes() if node.type() == "grouplayer")
    made = group.childNodes()[0]
    box = made.bounds()
    alpha = bytes(made.pixelData(0, 0, WIDTH, HEIGHT))[3::4]
    soft = document.selection()
    selected = bytes(soft.pixelData(0, 0, WIDTH, HEIGHT))
    shown = bytes(document.pixelData(0, 0, WIDTH, HEIGHT))
    outside = [i for i in range(WIDTH * HEIGHT) if alpha[i] == 0]
    full = [i for i in range(WIDTH * HEIGHT) if selected[i] == 255]
    lab.note(
        task=[task.state, task.operation, task.job, str(task.error)],
        words=task.words,
        layers=layers(document),
        bounds=[box.x(), box.y(), box.width(), box.height()],
        below_untouched=bytes(base.pixelData(0, 0, WIDTH, HEIGHT)) == rows,
        outside_same=all(shown[4 * i : 4 * i + 4] == rows[4 * i : 4 * i + 4] for i in outside),
        outside_count=len(outside),
        full_count=len(full),
        full_opaque=all(alpha[i] == 255 for i in full),
        full_new=sum(shown[4 * i : 4 * i + 3] != rows[4 * i : 4 * i + 3] for i in full),
        half_selected=sum(0 < value < 255 for value in selected),
        list_rows=panel.child(QtWidgets.QListWidget, "jobs").count(),
        has_icon=not panel.child(QtWidgets.QListWidget, "jobs").item(0).icon().isNull(),
        active=document.activeNode().name(),
    )
    before = layers(document)
    lab.act("edit_undo")
    yield 0.5
    document.waitForDone()
    undone, pixels_undone = layers(document), bytes(document.pixelData(0, 0, WIDTH, HEIGHT)) == rows
    lab.act("edit_redo")
    yield 0.5
    document.waitForDone()
    lab.note(
        undone=undone,
        pixels_undone=pixels_undone,
        redone=layers(document) == before,
        pixels_redone=bytes(document.pixelData(0, 0, WIDTH, HEIGHT)) == shown,
    )


def cancelled(lab, panel):
    """A long job is cancelled by its button; previews came meanwhile."""
    panel.set(steps=400, seed=8)
    lab.click(panel.button("generate"))
    yield (lambda: len(panel.tasks) == 2 and panel.tasks[1].state == "running" and panel.tasks[1].preview is not None), 120
    yield 0.3
    bar = panel.child(QtWidgets.QProgressBar, "progress")
    lab.note(bar=[bar.isVisible(), bar.text()], preview_icon=not panel.child(QtWidgets.QListWidget, "jobs").item(0).icon().isNull())
    lab.photograph("running.png")
    lab.click(panel.button("cancel"))
    yield (lambda: panel.tasks[1].ended), 60
    lab.note(cancelled=panel.tasks[1].state, cancelled_job=panel.tasks[1].job, bar_after=bar.isVisible())


def killed(lab, panel):
    """The daemon dies; the docker says so and has a button; a click brings it back, and it works."""
    first = panel.session.status["pid"]
    os.kill(first, signal.SIGKILL)
    yield (lambda: panel.session.state.name == "lost"), 60
    yield 0.3
    lab.photograph("lost.png")
    fix = panel.button("fix")
    lab.note(lost=panel.child(QtWidgets.QLabel, "state").text(), fix=[fix.isVisible(), fix.text()])
    lab.click(fix)
    yield (lambda: panel.session.state.connected and panel.session.status.get("pid") != first), 120
    panel.set(steps=1, seed=9)
    lab.click(panel.button("generate"))
    yield (lambda: len(panel.tasks) == 3 and panel.tasks[2].ended), 180
    lab.note(after_restart=panel.tasks[2].state, error=str(panel.tasks[2].error))


def settings(lab, panel):
    """Another operation by its schema; settings taken over from an earlier job; a favourite; an error with its detail."""
    combo = panel.docker.operation
    combo.setCurrentIndex(combo.findData("texture"))
    yield 0.3
    lab.note(carried=panel.docker.panel.values().get("prompt"), texture_fields=sorted(panel.docker.panel.inputs))
    panel.child(QtWidgets.QListWidget, "jobs").setCurrentRow(2)
    lab.click(panel.button("reuse"))
    yield 0.4
    lab.note(reused=[combo.currentData(), panel.docker.panel.values().get("seed"), panel.docker.panel.values().get("prompt")])
    lab.click(panel.button("favourite"))
    yield 0.6
    lab.note(star=panel.child(QtWidgets.QListWidget, "jobs").item(2).text()[:1])
    combo.setCurrentIndex(combo.findData("generate"))
    yield 0.2
    panel.set(prompt="moss", model="no-such-model")
    lab.click(panel.button("generate"))
    yield panel.docker.copy_error.isVisible, 60
    at_once = panel.child(QtWidgets.QCheckBox, "at_once").isChecked()
    lab.note(error_text=panel.child(QtWidgets.QLabel, "message").text(), error_detail=panel.docker.detail, at_once=at_once)
    panel.docker.cancel_all()
    lab.photograph("error.png")
