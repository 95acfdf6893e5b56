"""Runs one file of steps inside a real Krita, from Krita's own loop, and leaves a verdict; then quits. It exists for tests only.

The file has `steps(lab)`, a generator: it yields seconds to wait, or (condition, seconds of patience). Between steps Krita's own loop runs:
a nested one is not the same, an active layer never settles in it.
"""

import faulthandler
import json
import os
import runpy
import subprocess
import sys
import threading
import time
import traceback

import pykrita
from krita import Extension, Krita

if getattr(pykrita, "qt_major_version", lambda: 5)() == 6:
    from PyQt6.QtCore import QPoint, QTimer
    from PyQt6.QtWidgets import QApplication, QScrollArea
else:
    from PyQt5.QtCore import QPoint, QTimer
    from PyQt5.QtWidgets import QApplication, QScrollArea


class Lab:
    """What steps have at hand: facts for the verdict, and a hand on the mouse and the keyboard."""

    def __init__(self, folder):
        self.folder = folder
        self.krita = Krita.instance()
        self.facts = {}
        self.faults = []
        self.began = time.monotonic()
        self.hook = None  # what was told of exceptions before the runner was

    def note(self, **facts):
        """Facts for the verdict; what cannot be JSON is a mistake of the steps. A Krita that crashes shows in its log how far it came."""
        json.dumps(facts)
        print("gesso_lab:", *facts, file=sys.stderr, flush=True)
        self.facts.update(facts)

    @property
    def window(self):
        return self.krita.windows()[0]

    def open(self, width, height, model="RGBA", depth="U8", profile="sRGB-elle-V2-srgbtrc.icc"):
        """A new document in a view of its own."""
        document = self.krita.createDocument(width, height, "test", model, depth, profile, 72.0)
        self.window.addView(document)
        self.krita.setActiveDocument(document)
        return document

    def act(self, name):
        """Trigger one of Krita's actions, such as edit_undo."""
        self.krita.action(name).trigger()

    def click(self, widget):
        """A real click by the X server in a widget's middle, scrolled into sight; wait a moment afterwards."""
        area = widget.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(widget)
        middle = widget.mapToGlobal(QPoint(widget.width() // 2, widget.height() // 2)) * widget.devicePixelRatioF()
        subprocess.run(["xdotool", "mousemove", str(middle.x()), str(middle.y()), "click", "1"], check=True)

    def type(self, text):
        """Real key presses by the X server, into what has the focus."""
        subprocess.Popen(["xdotool", "type", "--delay", "15", text])

    def press(self, *keys):
        """Real key presses, one after the other."""
        subprocess.Popen(["xdotool", "key", "--delay", "40", *keys])

    def photograph(self, name):
        """The whole screen."""
        subprocess.run(["import", "-window", "root", os.path.join(self.folder, name)], check=True)

    def finish(self, fault=None):
        if fault is not None:
            self.faults.append(fault)
        verdict = {"ok": not self.faults, "facts": self.facts, "faults": self.faults, "seconds": time.monotonic() - self.began}
        draft = os.path.join(self.folder, "verdict.part")
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(verdict, file)
        os.replace(draft, os.path.join(self.folder, "verdict.json"))
        for document in self.krita.documents():
            document.setModified(False)  # no question whether to save
        for window in self.krita.windows():
            window.qwindow().close()
        QTimer.singleShot(0, QApplication.quit)
        threading.Thread(target=_leave_anyway, daemon=True).start()


def _leave_anyway():
    time.sleep(15)
    os._exit(86)


class Runner:
    def __init__(self, lab):
        self.lab = lab
        lab.hook = sys.excepthook
        sys.excepthook = self._uncaught
        self.steps = None

    def _uncaught(self, kind, fault, trace):
        self.lab.faults.append("uncaught: " + "".join(traceback.format_exception(kind, fault, trace)))

    def begin(self):
        try:
            sys.path.insert(0, os.path.dirname(os.environ["GESSO_LAB_STEPS"]))  # steps share modules
            self.steps = runpy.run_path(os.environ["GESSO_LAB_STEPS"])["steps"](self.lab)
        except BaseException:
            self.lab.finish(traceback.format_exc())
            return
        self.step()

    def step(self, fault=None):
        try:
            wanted = self.steps.throw(fault) if fault else next(self.steps)
        except StopIteration:
            self.lab.finish()
        except BaseException:
            self.lab.finish(traceback.format_exc())
        else:
            if isinstance(wanted, tuple):
                self.poll(wanted[0], time.monotonic() + wanted[1])
            else:
                QTimer.singleShot(int(wanted * 1000), self.step)

    def poll(self, condition, end):
        try:
            if condition():
                self.step()
            elif time.monotonic() > end:
                self.step(TimeoutError("the condition was not met in time"))
            else:
                QTimer.singleShot(20, lambda: self.poll(condition, end))
        except BaseException as fault:
            self.step(fault)


class LabExtension(Extension):
    def setup(self):
        pass

    def createActions(self, window):
        if getattr(self, "runner", None) is None:
            self.runner = Runner(Lab(os.environ["GESSO_LAB"]))
            notifier = Krita.instance().notifier()
            notifier.setActive(True)
            self.begun = False
            notifier.windowCreated.connect(self.begin)
            QTimer.singleShot(20000, self.begin)

    def begin(self):
        if not self.begun:
            self.begun = True
            QTimer.singleShot(300, self.runner.begin)


if os.environ.get("GESSO_LAB_STEPS"):
    faulthandler.enable()  # a Krita that crashes says where Python was
    Krita.instance().addExtension(LabExtension(Krita.instance()))
