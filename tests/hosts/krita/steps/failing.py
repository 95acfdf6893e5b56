"""The negative control: a slot raises, then a condition is never met. A runner that reports success for this file is broken."""

from gesso_krita.krita.qt import QTimer


def steps(lab):
    lab.note(reached="before")

    def fault():
        raise RuntimeError("raised in a slot on purpose")

    QTimer.singleShot(10, fault)
    yield 0.5
    yield (lambda: False), 0.5
    lab.note(reached="after")
