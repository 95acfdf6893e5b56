"""Registers the docker and the actions with Krita. It runs once, when Krita loads the plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from krita import DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from . import actions, faults
from .controller import Controller
from .docker import ID, Docker


class Gesso(Extension):
    """Krita's extension: the actions, and the end."""

    def __init__(self, parent: Any, controller: Controller) -> None:
        super().__init__(parent)
        self._controller = controller

    def setup(self) -> None:
        """Krita is up. There is no window yet."""
        notifier = Krita.instance().notifier()
        notifier.setActive(True)
        notifier.applicationClosing.connect(self._controller.close)

    def createActions(self, window: Any) -> None:
        """A window comes up. Krita's own name."""
        for name, act in actions.ACTS.items():
            action = window.createAction(name, actions.title(act), "tools/scripts")
            action.triggered.connect(lambda *_, call=act.call: self._do(call))

    def _do(self, call: Callable[[Docker], object]) -> None:
        docker = next((found for found in Krita.instance().dockers() if found.objectName() == ID), None)
        if docker is not None:
            call(docker)


def register() -> None:
    """Tell Krita of everything."""
    app = Krita.instance()
    controller = Controller()
    faults.watch(lambda sentence, detail: controller.said.emit("error", sentence, detail))
    Docker.controller = controller
    position = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase).DockRight  # a scoped enum in Krita 6
    app.addDockWidgetFactory(DockWidgetFactory(ID, position, Docker))
    app.addExtension(Gesso(app, controller))
