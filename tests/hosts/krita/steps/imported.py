"""The plugin that Krita's own importer has installed: a picture from words becomes a layer."""

import gesso_krita
from hands import begin, hatched, landed


def steps(lab):
    panel = yield from begin(lab)
    document, base, rows = hatched(lab, 96, 64)
    yield 0.5
    panel.choose("generate")
    yield 0.3
    panel.set(prompt="red brick", model="procedural", width=32, height=32, seed=3)
    task = panel.docker.submit()
    yield landed(task)
    yield 0.3
    layer = document.topLevelNodes()[-1].childNodes()[0]
    box = layer.bounds()
    lab.note(
        plugin=gesso_krita.__file__,
        task=[task.state, task.job],
        box=[box.x(), box.y(), box.width(), box.height()],
        pixels=bytes(layer.pixelData(box.x(), box.y(), box.width(), box.height())).hex(),
        below=bytes(base.pixelData(0, 0, 96, 64)) == rows,
    )
