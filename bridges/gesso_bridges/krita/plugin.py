"""Registers the docker and the actions with Krita. It runs once, when Krita loads the plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from krita import DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from .controller import Controller
from .docker import ID, Docker


def _show(docker: Docker) -> None:
    docker.setVisible(True)
    docker.raise_()


_ACTIONS: dict[str, tuple[str, Callable[[Docker], object]]] = {
    "gesso_submit": ("Gesso: generate", lambda docker: docker.submit()),
    "gesso_cancel_all": ("Gesso: cancel", lambda docker: docker.cancel_all()),
    "gesso_apply_result": ("Gesso: apply the result", lambda docker: docker.jobs.apply()),
    "gesso_discard_result": ("Gesso: discard the result", lambda docker: docker.jobs.discard()),
    "gesso_reuse_settings": ("Gesso: reuse the settings", lambda docker: docker.jobs.reuse()),
    "gesso_favour_result": ("Gesso: favourite", lambda docker: docker.jobs.favour()),
    "gesso_live_painting": ("Gesso: live painting", lambda docker: docker.set_live(not docker.live.running)),
    "gesso_live_keep": ("Gesso: keep the live picture", lambda docker: docker.live.apply()),
    "gesso_exclude_layer": ("Gesso: leave the layer out", lambda docker: docker.place.toggle()),
    "gesso_show": ("Gesso: show the docker", _show),
}
"""Action -> (its title, what it does); keys are given to them in Krita's own settings for shortcuts."""


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
        for name, (title, call) in _ACTIONS.items():
            action = window.createAction(name, title, "tools/scripts")
            action.triggered.connect(lambda *_, call=call: self._do(call))

    def _do(self, call: Callable[[Docker], object]) -> None:
        docker = next((found for found in Krita.instance().dockers() if found.objectName() == ID), None)
        if docker is not None:
            call(docker)


def register() -> None:
    """Tell Krita of everything."""
    app = Krita.instance()
    controller = Controller()
    Docker.controller = controller
    position = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase).DockRight  # a scoped enum in Krita 6
    app.addDockWidgetFactory(DockWidgetFactory(ID, position, Docker))
    app.addExtension(Gesso(app, controller))
