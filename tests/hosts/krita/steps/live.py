"""Live painting on 1024 x 1024 with strokes of the X server; what each tick takes; the document is closed while it runs."""

import subprocess
from pathlib import Path

from gesso_krita.krita.qt import QtCore, QtWidgets
from hands import begin


def stroke(lab, x, y, across, down):
    """Press, move in steps, release: as a hand does it, while Krita's own loop runs."""
    words = ["xdotool", "mousemove", str(x), str(y), "mousedown", "1"]
    for step in range(1, 13):
        words += ["sleep", "0.03", "mousemove", str(x + across * step // 12), str(y + down * step // 12)]
    return subprocess.Popen([*words, "mouseup", "1"])


def quantiles(times):
    """Of sorted pairs, the first of each in milliseconds."""
    return {name: 1000 * times[min(len(times) - 1, len(times) * part // 100)][0] for name, part in (("p50", 50), ("p99", 99), ("max", 100))}


def steps(lab):
    panel = yield from begin(lab)
    document = lab.open(1024, 1024)
    yield 1.0
    panel.set(prompt="mossy stones", steps=2, guidance=1.0, seed=5, strength=0.5, match_border=False)
    live = panel.docker.live
    together, sent = [], []

    def watch():
        going = [task for task in panel.tasks if task.memo.get("live") and not task.ended]
        together.append(len(going))
        for task in panel.tasks:
            if task.memo.get("live") and task.number not in sent:
                sent.append(task.number)
        return False

    live._timer.timeout.connect(watch)
    lab.click(panel.button("live"))
    yield (lambda: live.last is not None), 180
    first = live.last.number
    children = lab.window.qwindow().findChildren(QtWidgets.QWidget)
    canvas = next(child for child in children if child.metaObject().className().startswith("KisOpenGLCanvas"))
    corner = canvas.mapToGlobal(QtCore.QPoint(canvas.width() // 2 - 200, canvas.height() // 2 - 150))
    before = bytes(document.pixelData(0, 0, 1024, 1024))
    for number in range(6):
        hand = stroke(lab, corner.x() + 30 * number, corner.y() + 50 * number, 260, 40)
        yield (lambda hand=hand: hand.poll() is not None), 30
        yield 0.25
    yield from look(lab, panel, document, before, {"sent": sent, "together": together, "first": first})
    yield from keep_and_close(lab, panel, document)


def look(lab, panel, document, before, seen):
    """The strokes are over: the newest pixels have been sent, and their picture is there."""
    live = panel.docker.live
    document.waitForDone()
    yield 1.5  # a whole round of the strips
    painted = bytes(document.pixelData(0, 0, 1024, 1024))
    yield (lambda: live._frames.state == "idle" and live._frames.sent == live._strips.mark), 180
    times = sorted(live.times)
    processor = sorted((cpu, cpu) for _, cpu in live.times)
    yield 0.5  # until it is drawn
    lab.note(least=panel.docker.widget().minimumSizeHint().height())
    lab.photograph("live.png")
    job = live.last.job
    lab.note(
        painted=painted != before,
        frames=len(seen["sent"]),
        results=live.last.number > seen["first"],
        together=max(seen["together"]),
        job=job,
        ticks=len(times),
        wall_ms=quantiles(times),
        cpu_ms=quantiles(processor),
        view=panel.child(QtWidgets.QLabel, "live_view").pixmap() is not None,
        listed=panel.docker.jobs.list.count(),
    )
    with open(Path(lab.folder) / "painted.bgra", "wb") as file:
        file.write(painted)


def keep_and_close(lab, panel, document):
    """The picture becomes a layer; then the document goes while live painting runs."""
    live = panel.docker.live
    below = document.topLevelNodes()[0]
    kept = bytes(below.pixelData(0, 0, 1024, 1024))
    lab.click(panel.button("live_apply"))
    yield (lambda: any(node.type() == "grouplayer" for node in document.topLevelNodes())), 30
    lab.note(kept_below=bytes(below.pixelData(0, 0, 1024, 1024)) == kept)
    yield 0.2
    document.setModified(False)
    document.close()
    yield (lambda: not live.running), 30
    lab.note(closed=[panel.button("live").isChecked(), panel.child(QtWidgets.QLabel, "message").text()])
