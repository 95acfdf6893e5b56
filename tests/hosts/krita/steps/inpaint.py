"""Painting into a selection in every depth; selections of every kind; two documents; a document that closes; a large one."""

import time

from gesso_krita.krita import composed, documents
from gesso_krita.krita.boxes import Box
from hands import begin, close, hatched, landed, select
from krita import Selection
from pixels import SPACES, painted

SIZE = 96 * 80


def submit(panel, **values):
    """Press the button's function; gives the task."""
    panel.set(steps=1, guidance=1.0, **values)
    return panel.docker.submit()


def steps(lab):
    panel = yield from begin(lab)
    yield from depths(lab, panel)
    yield from kinds(lab, panel)
    yield from lives(lab, panel)
    yield from large(lab, panel)


def depths(lab, panel):
    found = []
    for number, (model, depth, profile) in enumerate(SPACES):
        document, base = painted(lab, model, depth, profile)
        yield 0.3
        select(document, 30, 20, 24, 20)
        before, shown = bytes(base.pixelData(0, 0, 96, 80)), bytes(document.pixelData(0, 0, 96, 80))
        task = submit(panel, prompt=f"brick {number}", seed=number, blend=4)
        yield landed(task)
        yield 0.3
        document.waitForDone()
        made = document.topLevelNodes()[1].childNodes()[0]
        after = bytes(document.pixelData(0, 0, 96, 80))
        wide = len(after) // SIZE
        inside = {(x, y) for y in range(20, 40) for x in range(30, 54)}
        near = {(x, y) for y in range(15, 45) for x in range(25, 59)}
        same = {(i % 96, i // 96) for i in range(SIZE) if after[wide * i : wide * (i + 1)] == shown[wide * i : wide * (i + 1)]}
        everywhere = {(x, y) for y in range(80) for x in range(96)}
        found.append(
            {
                "space": [document.colorModel(), document.colorDepth()],
                "layer": [made.colorModel(), made.colorDepth(), made.colorProfile() == document.colorProfile()],
                "below": bytes(base.pixelData(0, 0, 96, 80)) == before,
                "changed_outside": len((everywhere - near) - same),
                "changed_inside": len(inside - same),
                "job": task.job,
                "message": panel.docker.foot.message.text(),
                "bits": [image.plane().itemsize * 8 for image in task.result.images],
                "box": task.result.images[0].info["measured"]["box"],
            }
        )
        yield from close(document)
    lab.note(depths=found)


def kinds(lab, panel):
    """Off the canvas, growing it, empty, inverted, nearly nothing; a count of two; the best of three."""
    found = {}
    document, base, rows = hatched(lab, 128, 96)
    yield 0.3
    select(document, 100, 40, 60, 30)
    task = submit(panel, prompt="beyond", seed=1)
    yield landed(task)
    yield 0.3
    made = document.topLevelNodes()[1].childNodes()[0]
    found["beyond"] = [task.job, made.bounds().x() + made.bounds().width(), document.width()]
    panel.docker.place.beyond.setCurrentIndex(panel.docker.place.beyond.findData("grow"))
    select(document, -20, 40, 60, 30)
    grown = submit(panel, prompt="grown", seed=2)
    yield landed(grown)
    yield 0.4
    document.waitForDone()
    found["grown"] = [document.width(), document.height(), bytes(base.pixelData(20, 0, 128, 96)) == rows]
    panel.docker.place.beyond.setCurrentIndex(0)
    yield from close(document)

    document, base, rows = hatched(lab, 128, 96)
    yield 0.3
    document.setSelection(Selection())
    whole = submit(panel, prompt="whole", seed=3, count=2)
    yield landed(whole)
    yield 0.3
    group = document.topLevelNodes()[1]
    found["whole"] = [whole.memo["box"], [[child.name(), child.visible()] for child in group.childNodes()]]
    panel.set(count=1)
    select(document, 10, 10, 100, 80)
    inverted = submit(panel, prompt="around", seed=4, invert=True, blend=0)
    yield landed(inverted)
    yield 0.3
    group = next(node for node in document.topLevelNodes() if node.name() == "Gesso: around")
    alpha = bytes(group.childNodes()[0].pixelData(0, 0, 128, 96))[3::4]
    found["inverted"] = [alpha[50 * 128 + 60], alpha[2 * 128 + 2], alpha[90 * 128 + 120]]
    panel.set(invert=False)
    select(document, 30, 30, 40, 30)
    best = submit(panel, prompt="the best", seed=4, best_of=3)
    yield landed(best)
    yield 0.3
    group = next(node for node in document.topLevelNodes() if node.name() == "Gesso: the best")
    found["best"] = [best.job, len(group.childNodes()), best.result.images[0].seed in (4, 5, 6)]
    panel.set(best_of=None)
    select(document, 500, 500, 20, 20)
    panel.docker.place.beyond.setCurrentIndex(panel.docker.place.beyond.findData("inside"))
    refused = submit(panel, prompt="nowhere")
    found["refused"] = [refused is None, panel.docker.foot.message.text()]
    panel.docker.place.beyond.setCurrentIndex(0)
    yield from close(document)
    lab.note(kinds=found)


def lives(lab, panel):
    """Another document in front when the result comes; meanwhile a selection moved, a layer deleted, a document closed."""
    found = {}
    first, _, first_rows = hatched(lab, 128, 96)
    yield 0.3
    select(first, 20, 20, 40, 40)
    task = submit(panel, prompt="for the first", seed=5)
    second, _, second_rows = hatched(lab, 160, 120)
    yield landed(task)
    yield 0.4
    found["two"] = [
        [node.name() for node in first.topLevelNodes() if node.type() != "selectionmask"],
        [node.name() for node in second.topLevelNodes()],
        bytes(second.pixelData(0, 0, 160, 120)) == second_rows,
        bytes(first.topLevelNodes()[0].pixelData(0, 0, 128, 96)) == first_rows,
    ]
    select(second, 20, 20, 40, 40)
    steady = submit(panel, prompt="where it was", seed=5)
    select(second, 100, 80, 30, 30)
    yield landed(steady)
    yield 0.4
    made = next(node for node in second.topLevelNodes() if node.name() == "Gesso: where it was").childNodes()[0].bounds()
    found["moved"] = [made.x(), made.y(), made.x() + made.width(), made.y() + made.height()]
    doomed = second.createNode("doomed", "paintlayer")
    second.rootNode().addChildNode(doomed, None)
    yield 0.3
    second.setActiveNode(doomed)
    yield 0.3
    select(second, 20, 20, 40, 40)
    orphan = submit(panel, prompt="orphan", seed=6)
    doomed.remove()
    yield landed(orphan)
    yield 0.4
    found["deleted"] = [node.name() for node in second.topLevelNodes() if node.type() != "selectionmask"]
    select(second, 20, 20, 40, 40)
    lab.note(lives=found)
    yield 0.6  # Krita 6.0.4 crashes where a document is closed at once after a layer changed
    homeless = submit(panel, prompt="homeless", seed=7)
    second.setModified(False)
    second.close()
    yield (lambda: homeless.ended), 120
    yield 0.4
    found["closed"] = [homeless.state, bool(homeless.memo.get("applied")), panel.docker.foot.message.text()]
    panel.controller.apply(homeless)
    yield 0.4
    found["rescued"] = [node.name() for node in first.topLevelNodes() if node.type() != "selectionmask"]
    yield from close(first)
    nothing = submit(panel, prompt="nothing open")
    found["none"] = [nothing is None, panel.docker.foot.message.text()]
    lab.note(lives=found)


class Watched:
    """A document that notes how large it, or a clone of it, is when it is drawn anew."""

    def __init__(self, inner, drawn):
        self.inner, self.drawn = inner, drawn

    def __getattr__(self, name):
        if name == "refreshProjection":
            self.drawn.append([self.inner.width(), self.inner.height()])
        made = getattr(self.inner, name)
        return made if name != "clone" else lambda: Watched(made(), self.drawn)


def left_out(document, box):
    """A box without the layer that covers it, and what was drawn for that."""
    patch = b"".join(bytes((x, y, x * y % 256, 255)) for y in range(32) for x in range(32))
    document.topLevelNodes()[0].setPixelData(patch, box.x + 50, box.y + 30, 32, 32)
    cover = document.createNode("cover", "paintlayer")
    cover.setPixelData(b"\xff\xff\xff\xff" * 1000000, box.x, box.y, 1000, 1000)
    document.rootNode().addChildNode(cover, None)
    document.refreshProjection()
    document.waitForDone()
    drawn, began = [], (time.perf_counter(), time.process_time())
    data = bytes(composed.read(Watched(document, drawn), box, frozenset([documents.node_id(cover)])).data)
    took = [time.perf_counter() - began[0], time.process_time() - began[1]]
    rows = b"".join(data[4 * ((30 + y) * box.width + 50) :][:128] for y in range(32))
    return {"same": rows == patch, "drawn": drawn, "took": took, "visible": cover.visible()}


def large(lab, panel):
    """6000 x 4000: only the context is read, and the thread of Krita is free again at once; so it is where a layer is left out."""
    document = lab.open(6000, 4000)
    yield 1.0
    select(document, 3000, 2000, 120, 80)
    panel.controller.apply_at_once = False
    began = time.thread_time()
    task = submit(panel, prompt="small in large", seed=8)
    seconds = [time.thread_time() - began]
    yield (lambda: task.ended), 180
    began = time.thread_time()
    panel.controller.apply(task)
    seconds.append(time.thread_time() - began)
    panel.controller.apply_at_once = True
    yield 0.5
    group = next(node for node in document.topLevelNodes() if node.type() == "grouplayer")
    box = group.childNodes()[0].bounds()
    lab.note(large=[task.job, task.memo["box"], [box.x(), box.y(), box.width(), box.height()], seconds])
    lab.note(without=left_out(document, Box(*task.memo["box"])))
    yield from close(document)
