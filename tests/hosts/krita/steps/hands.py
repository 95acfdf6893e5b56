"""What the steps share: the docker by the names of its widgets, a document whose every pixel is known, a selection, the end of a job."""

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

    def choose(self, mode):
        self.docker.operation.setCurrentIndex(self.docker.operation.findData(mode))

    def set(self, **values):
        self.docker.panel.fill({**self.docker.panel.values(), **values})


def prepare(lab):
    """The window over the whole screen, the docker wide and in front; no dialogs of Krita's."""
    lab.krita.setBatchmode(True)
    window = lab.window.qwindow()
    window.resize(1600, 1000)
    window.move(0, 0)
    panel = Panel(lab)
    panel.docker.setVisible(True)
    panel.docker.raise_()
    window.resizeDocks([panel.docker], [460], QtCore.Qt.Orientation.Horizontal)
    alone(lab, panel)
    return panel


def alone(lab, panel):
    """Hide the other dockers. Krita 5.2 and 6 show them again with the first document."""
    for other in lab.window.qwindow().findChildren(QtWidgets.QDockWidget):
        if other is not panel.docker and not other.isFloating() and other.objectName() not in ("ToolBox",):
            other.setVisible(False)


def begin(lab):
    """The docker, once it has a form."""
    panel = prepare(lab)
    yield (lambda: panel.docker.panel is not None), 60
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


def landed(task):
    """What to wait for until a task has ended, and its pictures are layers where it went well."""
    return (lambda: task.ended and (task.state != "done" or task.memo.get("applied"))), 180


def close(document):
    """Close it without a question; wait a moment afterwards, and before: where something was done to a layer within the last tenths of a
    second, Krita 6.0.4 crashes in its own list of layers (`KisNodeModel::processUpdateQueue` meets one that is gone).
    """
    document.waitForDone()
    yield 0.5
    document.setModified(False)
    document.close()
    yield 0.3
