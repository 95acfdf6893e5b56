"""Live painting on 1024 x 1024 with strokes of the X server, then below a layer that is left out; what each tick takes; the document is
closed while it runs.
"""

import subprocess
import threading
from pathlib import Path

from gesso_krita.krita import documents
from gesso_krita.krita.pngfile import Png
from gesso_krita.krita.qt import QtCore, QtWidgets
from gesso_krita.krita.scrolled import least
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
    panel.choose("upscale")
    yield 0.3
    lab.click(panel.button("live"))
    yield panel.docker.foot.message.text, 20
    lab.note(refused=[panel.docker.foot.message.text(), panel.docker.live.running, panel.button("live").isChecked()])
    panel.choose("edit:inpaint")
    yield 0.3
    panel.set(prompt="mossy stones", steps=2, guidance=1.0, seed=5, strength=0.5, match_border=False)
    live = panel.docker.live
    together, sent, files = [], [], packing()

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
    before = bytes(document.pixelData(0, 0, 1024, 1024))
    yield from strokes(lab, canvas, 0)
    yield from look(lab, panel, document, before, {"sent": sent, "together": together, "first": first})
    lab.note(packed=[len(file) for file in files], packers=sorted({name for file in files for name in file}))
    yield from below(lab, panel, document, canvas)
    yield from keep_and_close(lab, panel, document)


def packing():
    """A list for each file that live painting makes: on which thread each of the strips was packed that were not known."""
    files, packed, file = [], Png._packed, Png.file

    def noted(self, part):
        files[-1].append(threading.current_thread().name.rstrip("0123456789"))
        return packed(self, part)

    def begun(self, parts):
        files.append([])
        return file(self, parts)

    Png._packed, Png.file = noted, begun
    return files


def strokes(lab, canvas, shift):
    """Six of them, about the middle of the canvas."""
    corner = canvas.mapToGlobal(QtCore.QPoint(canvas.width() // 2 - 200 + shift, canvas.height() // 2 - 150))
    for number in range(6):
        hand = stroke(lab, corner.x() + 30 * number, corner.y() + 50 * number, 260, 40)
        yield (lambda hand=hand: hand.poll() is not None), 30
        yield 0.25


def settled(panel):
    """The newest pixels have been sent, and their picture is there."""
    live = panel.docker.live
    return (lambda: live._frames.state == "idle" and live._frames.sent == live._strips.mark), 180


def below(lab, panel, document, canvas):
    """Below an opaque layer that is left out: what is painted there is seen by the model, and the layer is not."""
    live = panel.docker.live
    base = document.topLevelNodes()[0]
    lab.click(panel.button("live"))
    yield (lambda: not live.running), 30
    cover = document.createNode("cover", "paintlayer")
    cover.setPixelData(b"\xff\xff\xff\xff" * 1024 * 1024, 0, 0, 1024, 1024)
    document.rootNode().addChildNode(cover, None)
    yield 0.5
    document.setActiveNode(base)
    yield 0.5
    panel.docker.place.toggle(documents.node_id(cover))
    last = live.last.number
    lab.click(panel.button("live"))
    yield (lambda: live.last is not None and live.last.number > last), 180
    before = bytes(base.pixelData(0, 0, 1024, 1024))
    yield from strokes(lab, canvas, 40)
    document.waitForDone()
    yield 1.5
    painted = bytes(base.pixelData(0, 0, 1024, 1024))
    yield settled(panel)
    shown = bytes(document.pixelData(0, 0, 1024, 1024))
    times = sorted((cpu, cpu) for _, cpu in live.times)
    lab.photograph("below.png")
    lab.note(
        below_painted=painted != before,
        below_job=live.last.job,
        below_ms=quantiles(times),
        below_wall_ms=quantiles(sorted(live.times)),
        below_ticks=len(times),
        still_covered=shown.count(0xFF) == len(shown),
    )
    with open(Path(lab.folder) / "below.bgra", "wb") as file:
        file.write(painted)
    panel.docker.place.toggle(documents.node_id(cover))


def look(lab, panel, document, before, seen):
    """The strokes are over."""
    live = panel.docker.live
    document.waitForDone()
    yield 1.5  # a whole round of the strips
    painted = bytes(document.pixelData(0, 0, 1024, 1024))
    yield settled(panel)
    times = sorted(live.times)
    processor = sorted((cpu, cpu) for _, cpu in live.times)
    yield 0.5  # until it is drawn
    lab.note(least=[panel.docker.widget().minimumSizeHint().height(), least(420, 768)])
    lab.photograph("live.png")
    job = live.last.job
    live.last.memo["kept"] = True  # else the daemon would be told to forget it once there is a newer one
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
