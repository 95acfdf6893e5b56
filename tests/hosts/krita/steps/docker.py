"""A person's first minutes: type a prompt, click, get a layer; undo, redo, cancel; see the daemon die and come back."""

import os
import signal
import sys

from gesso_krita.krita.qt import QtWidgets
from hands import HEIGHT, WIDTH, begin, hatched, landed, layers, select


def steps(lab):
    panel = yield from begin(lab)
    document, base, rows = hatched(lab)
    yield 1.0
    lab.photograph("first.png")
    lab.note(
        state=panel.child(QtWidgets.QLabel, "state").text(),
        operations=[panel.docker.operation.itemText(i) for i in range(panel.docker.operation.count())],
        steps_shown=panel.docker.steps_box.isVisible(),
    )
    fold = panel.docker.controls
    fold.button.setChecked(True)
    yield 0.3
    lab.note(without_nets=[fold.told.isVisible(), fold.add.isVisible(), fold.told.text()])
    fold.button.setChecked(False)
    select(document, 140, 110, 50, 40, feather=3)
    yield 0.3
    yield from paint(lab, panel, document, base, rows)
    yield from cancelled(lab, panel)
    yield from killed(lab, panel)
    yield from settings(lab, panel)
    yield from faulty(lab, panel)


def words(lab, panel):
    """Typed into the prompt; then three times the tabulator."""
    prompt = panel.docker.findChild(QtWidgets.QPlainTextEdit, "gesso_field_prompt")
    lab.click(prompt)
    yield 0.5
    lab.type("red brick wall")
    yield (lambda: prompt.toPlainText() == "red brick wall"), 20
    order = ["gesso_field_prompt"]
    for _ in range(3):
        before = QtWidgets.QApplication.focusWidget()
        lab.press("Tab")
        yield (lambda before=before: QtWidgets.QApplication.focusWidget() not in (before, None)), 20
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
    panel.set(steps=60, seed=10)
    task = panel.docker.submit()
    yield (lambda: task.state == "running"), 60
    os.kill(panel.session.status["pid"], signal.SIGKILL)
    yield landed(task)
    lab.note(survived=[task.state, str(task.error), bool(task.memo.get("applied"))])
    panel.docker.jobs.discard()
    yield 0.3


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
    lab.press("shift+F7")
    yield (lambda: panel.tasks[0].memo.get("favourite")), 20
    lab.note(star=panel.child(QtWidgets.QListWidget, "jobs").item(2).text()[:1], starred=panel.tasks[0].job)
    combo.setCurrentIndex(combo.findData("generate"))
    yield 0.2
    panel.set(prompt="moss", model="no-such-model")
    panel.docker.write_prompt()
    yield 0.3
    lab.press("shift+Return")
    yield panel.docker.foot.buttons["copy_error"].isVisible, 60
    at_once = panel.child(QtWidgets.QCheckBox, "at_once").isChecked()
    lab.note(error_text=panel.child(QtWidgets.QLabel, "message").text(), error_detail=panel.docker.foot.detail, at_once=at_once)
    panel.docker.cancel_all()
    lab.photograph("error.png")
    lab.note(keys=keys(lab), prompt_after=panel.docker.panel.values().get("prompt"))


def keys(lab):
    """Of our own actions: their keys, and the names of others that have the same."""
    found = {}
    for action in lab.krita.actions():
        for key in action.shortcuts():
            found.setdefault(key.toString(), set()).add(action.objectName())
    return {key: sorted(names) for key, names in found.items() if any(name.startswith("gesso_") for name in names)}


def faulty(lab, panel):
    """A slot of ours raises: what there is to know stands in the docker, and no window of Krita's opens."""
    ours, sys.excepthook = sys.excepthook, lab.hook
    panel.controller.report = lambda: 1 // 0
    panel.button("copy_report").click()
    sys.excepthook = ours
    yield 0.3
    opened = [
        type(found).__name__
        for found in QtWidgets.QApplication.topLevelWidgets()
        if isinstance(found, QtWidgets.QDialog) and found.isVisible()
    ]
    lab.note(fault=[panel.docker.foot.message.text(), panel.docker.foot.detail, opened])
