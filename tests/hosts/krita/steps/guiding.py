"""Every mode once; control layers of an edit, drawn and made from the picture; regions with words of their own."""

from hands import begin, close, hatched, landed, select

MODES = {
    "edit:inpaint": {},
    "edit:refine": {"style_preset": "ink"},
    "edit:outpaint": {},
    "edit:add": {"sampler": "heun"},
    "edit:remove": {},
    "edit:background": {},
    "vary": {"count": 1},
    "style": {"method": "colours"},
    "upscale": {"upscaler": "lanczos"},
    "texture:tile": {},
    "instruct": {"model": "obeys"},
}
WIDTH, HEIGHT = 128, 96


def names(document):
    return [node.name() for node in document.topLevelNodes() if node.type() != "selectionmask"]


def bright(image):
    """A result's samples as text, to be compared."""
    return bytes(image.plane().cast("B")).hex()


def apart(one, other):
    """By how many of 255 steps two results differ at most. Krita asks at the level `fast`: equal work may differ by one."""
    return max(abs(a - b) for a, b in zip(bytes.fromhex(one), bytes.fromhex(other), strict=True))


def steps(lab):
    panel = yield from begin(lab)
    combo = panel.docker.operation
    lab.note(modes=[combo.itemText(place) for place in range(combo.count())])
    yield from modes(lab, panel)
    yield from controls(lab, panel)
    yield from traced(lab, panel)
    yield from regions(lab, panel)


def modes(lab, panel):
    """Each with what it needs and nothing more."""
    found, undone = {}, {}
    document, base, rows = hatched(lab, WIDTH, HEIGHT)
    yield 0.3
    for name, values in MODES.items():
        before, below = len(lab.krita.documents()), names(document)
        select(document, *((100, 30, 50, 40) if name == "edit:outpaint" else (40, 30, 40, 40)))
        panel.choose(name)
        yield 0.3
        inputs = panel.docker.panel.inputs
        shown = {field: inputs[field].read() for field in ("strength", "grow", "padding", "invert") if field in inputs}
        if name == "style":
            inputs["style"].write("layer")
        common = {"prompt": "red moss", "model": "tiny", "steps": 2, "seed": 4, "guidance": 1.0}
        if name in ("style", "texture:tile"):
            common = {"prompt": ""}
        panel.set(**{field: value for field, value in {**common, **values}.items() if field in inputs})
        task = panel.docker.submit()
        if task is None:
            found[name] = ["refused", panel.docker.foot.message.text()]
            continue
        yield landed(task)
        yield 0.2
        found[name] = [task.state, task.job, str(task.error or ""), shown, panel.docker.foot.message.text()]
        if names(document) != below:
            undone[name] = yield from back_and_forth(lab, document, below)
        for made in lab.krita.documents()[before:]:
            yield from close(made)
        lab.krita.setActiveDocument(document)
    lab.note(undone=undone)
    panel.docker.reuse(next(task for task in panel.tasks if task.job == found["edit:background"][1]))
    jobs = panel.docker.jobs.list
    lab.note(
        rows=[jobs.item(place).text().splitlines()[-1] for place in reversed(range(jobs.count()))],
        background=[panel.docker.operation.currentData(), panel.docker.panel.values().get("invert")],
    )
    lab.note(used=found, below=bytes(base.pixelData(0, 0, WIDTH, HEIGHT)) == rows, groups=names(document))
    panel.docker.operation.showPopup()
    yield 0.6
    lab.photograph("modes.png")
    panel.docker.operation.hidePopup()
    yield 0.3
    yield from close(document)


def back_and_forth(lab, document, before):
    """Whether one undo takes all of it away, and one redo brings all of it back."""
    after, pixels = names(document), bytes(document.pixelData(0, 0, WIDTH, HEIGHT))
    lab.act("edit_undo")
    yield (lambda: names(document) != after), 20
    document.waitForDone()
    gone = names(document) == before
    lab.act("edit_redo")
    yield (lambda: names(document) == after), 20
    document.waitForDone()
    return [gone, names(document) == after, bytes(document.pixelData(0, 0, WIDTH, HEIGHT)) == pixels]


def controls(lab, panel):
    """Two control layers, at no strength and at full: only through the control does the picture of the layer matter."""
    document, _, _ = hatched(lab, 64, 64)
    nodes = []
    for name, pixel in (("dark", b"\x10\x20\x30\xff"), ("bright", b"\xf0\x80\xe0\xff")):
        node = document.createNode(name, "paintlayer")
        node.setPixelData(pixel * 64 * 64, 0, 0, 64, 64)
        node.setVisible(False)
        document.rootNode().addChildNode(node, None)
        nodes.append(node.uniqueId().toString())
    document.refreshProjection()
    document.waitForDone()
    select(document, 20, 20, 24, 24)
    yield 0.3
    panel.controller.apply_at_once = False  # a result that is a layer would be seen by the next
    found, jobs = {}, {}
    panel.choose("edit:inpaint")
    yield 0.3
    panel.docker.controls.button.setChecked(True)
    yield 0.3
    panel.docker.controls.add.click()
    row = panel.docker.controls.rows[0]
    for strength in (0.0, 1.0):
        for name, node in zip(("dark", "bright"), nodes, strict=True):
            row.layer.setCurrentIndex(row.layer.findData(node))
            row.strength.setValue(strength)
            panel.set(prompt="anything", model="tiny", count=1, steps=2, seed=5, guidance=1.0)
            task = panel.docker.submit()
            yield (lambda task=task: task.ended), 180
            found[f"{name} {strength}"] = bright(task.result.images[0]) if task.result else str(task.error)
            jobs[f"{name} {strength}"] = task.job
    panel.controller.apply_at_once = True
    panel.docker.area.ensureWidgetVisible(panel.docker.controls.add)
    yield 0.5
    lab.photograph("controls.png")
    row.net.setCurrentIndex(row.net.findData("others"))
    task = panel.docker.submit()
    yield (lambda: task.ended), 180
    lab.note(unfit=[task.state, panel.docker.foot.message.text()])
    row.net.setCurrentIndex(row.net.findData("edges"))
    lab.note(
        control_nets=[row.net.itemText(i) for i in range(row.net.count())],
        control_layers=[row.layer.itemText(i) for i in range(row.layer.count())],
        apart_without=apart(found["dark 0.0"], found["bright 0.0"]),
        apart_with=apart(found["dark 1.0"], found["bright 1.0"]),
        control_jobs=jobs,
        failed=[text for text in found.values() if len(text) < 500],
    )
    panel.choose("upscale")
    yield 0.3
    lab.note(hidden_for_upscale=panel.docker.controls.isHidden() and panel.docker.regions.isHidden())
    yield from close(document)


def traced(lab, panel):
    """Each kind of control image made from the picture: a layer, which steers, and which the model does not see."""
    document, _, _ = hatched(lab, WIDTH, HEIGHT)
    block = document.createNode("block", "paintlayer")
    block.setPixelData(b"\x00\x00\x00\xff" * 40 * 40, 40, 30, 40, 40)
    document.rootNode().addChildNode(block, None)
    document.refreshProjection()
    document.waitForDone()
    select(document, 20, 20, 30, 30)
    panel.choose("edit:inpaint")
    yield 0.3
    row = panel.docker.controls.rows[0]
    kinds = [action.text() for action in row.trace.menu().actions()]
    made = {}
    for action in row.trace.menu().actions():
        row.layer.setCurrentIndex(row.layer.findData(block.uniqueId().toString()) if action.text() == "Canny" else 0)
        before = len(panel.tasks)
        action.trigger()
        yield (lambda before=before: len(panel.tasks) > before), 10
        task = panel.tasks[-1]
        yield landed(task)
        yield 0.4
        document.waitForDone()
        group = next(node for node in document.topLevelNodes() if node.uniqueId().toString() == task.memo.get("layer"))
        pixels = bytes(group.childNodes()[0].pixelData(0, 0, WIDTH, HEIGHT))
        made[action.text()] = [
            task.job, group.name(), row.layer.currentData() == task.memo["layer"], task.memo["layer"] in panel.docker.place.hidden,
            max(pixels[0::4]), pixels[4 * (50 * WIDTH + 39)] + pixels[4 * (50 * WIDTH + 40)], len(set(pixels[3::4])),
        ]  # fmt: skip
    lab.photograph("traced.png")
    panel.set(prompt="anything", model="tiny", steps=1, seed=5, guidance=1.0)
    task = panel.docker.submit()
    yield landed(task)
    lab.note(kinds=kinds, traced=made, steered=[task.job, task.state, str(task.error or "")])
    panel.docker.controls.take(row)
    yield from close(document)


def regions(lab, panel):
    """A layer and a group, each with its words; what is sent are their alphas, and the words of the whole are said after theirs."""
    document, _, _ = hatched(lab, WIDTH, HEIGHT)
    left = document.createNode("left", "paintlayer")
    left.setPixelData(b"\x40\x40\x40\xff" * 64 * HEIGHT, 0, 0, 64, HEIGHT)
    group = document.createGroupLayer("right")
    inner = document.createNode("inner", "paintlayer")
    inner.setPixelData(b"\x90\x40\x40\x80" * 32 * HEIGHT, 96, 0, 32, HEIGHT)
    group.addChildNode(inner, None)
    for node in (left, group):
        document.rootNode().addChildNode(node, None)
    document.refreshProjection()
    document.waitForDone()
    yield 0.3
    panel.choose("edit:inpaint")
    yield 0.3
    document.setSelection(None)
    panel.docker.regions.button.setChecked(True)
    yield 0.3
    for number, (node, words) in enumerate(((left, "a fox"), (group, "an oak"))):
        panel.docker.regions.add.click()
        row = panel.docker.regions.rows[number]
        row.layer.setCurrentIndex(row.layer.findData(node.uniqueId().toString()))
        row.words.setText(words)
    yield 1.0
    in_sight = panel.docker.regions.add.visibleRegion().boundingRect().height() == panel.docker.regions.add.height()
    lab.note(added_in_sight=in_sight)
    panel.docker.controls.add_row()
    panel.docker.controls.rows[0].strength.setValue(0.25)
    panel.set(prompt="at dusk", model="tiny", steps=2, seed=None, guidance=3.0)
    yield 0.5  # until the new rows have their places
    panel.docker.area.ensureWidgetVisible(panel.docker.regions.add)
    yield 0.5
    lab.photograph("regions.png")
    task = panel.docker.submit()
    yield landed(task)
    with_regions, job = bright(task.result.images[0]), task.job
    set_then = [list(panel.docker.regions.read()), list(panel.docker.controls.read())]
    for fold in (panel.docker.regions, panel.docker.controls):
        fold.write([])
    panel.choose("upscale")
    yield 0.3
    panel.docker.reuse(task)
    yield 0.3
    again = [list(panel.docker.regions.read()), list(panel.docker.controls.read())]
    lab.note(reused=[again == set_then, [len(found) for found in again], panel.docker.panel.values().get("seed") == task.params["seed"]])
    yield from elsewhere(lab, panel, document)
    panel.docker.regions.write([])
    task = panel.docker.submit()
    yield landed(task)
    lab.note(regions=[job, task.job, apart(with_regions, bright(task.result.images[0]))])
    yield from close(document)


def elsewhere(lab, panel, document):
    """Another document has none of the layers: nothing is asked for with others in their place, and back here all is as it was."""
    before = list(panel.docker.regions.read())
    other, _, _ = hatched(lab, 64, 64)
    yield 0.6
    refused = panel.docker.submit() is None
    said = panel.docker.foot.message.text()
    yield from close(other)
    lab.krita.setActiveDocument(document)
    yield 0.6
    lab.note(elsewhere=[refused, said, list(panel.docker.regions.read()) == before])
