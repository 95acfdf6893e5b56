"""The docker: how things stand, one operation's form, what happens to its jobs. It is drawn from the schemas and decides nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from krita import DockWidget

from gesso.errors import GessoError, InvalidRequest

from ..panel.form import Form
from ..panel.state import FIXES
from ..panel.task import Task
from . import orders, tabs
from .controller import Controller
from .controls import Controls
from .foot import Foot
from .inside import InDocument
from .jobs import Jobs
from .live import Live
from .livebox import LiveBox
from .modes import Mode, modes, of_task
from .orders import Wanted
from .qt import QtCore, QtWidgets
from .regions import Regions
from .scrolled import Halves, Scrolled
from .widgets import FormPanel

ID = "gesso"


class Docker(DockWidget):
    """Gesso's docker. Every window of Krita has one; all share one controller."""

    controller: Controller
    """Set before Krita makes the first docker."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Gesso")
        self.panel: FormPanel | None = None
        self._kept: dict[str, dict[str, Any]] = {}
        self._modes: list[Mode] = []
        self._mode: Mode | None = None
        self._drawn: Any = None
        halves = Halves()
        upper = self._half()
        self._state_row()
        self._operation_row()
        self.place = InDocument(self.controller)
        self.column.addWidget(self.place)
        self.column.addStretch(1)
        self.area = Scrolled(upper, 120)  # the form scrolls; what tells and what is pressed stays in sight
        halves.addWidget(self.area)
        halves.addWidget(self._half())
        self._buttons_row()
        self._live_rows()
        self.jobs = Jobs(self.controller, self.reuse, self._title)
        self.column.addWidget(self.jobs, 1)
        self.foot = Foot(self.controller)
        self.column.addWidget(self.foot)
        halves.setStretchFactor(0, 3)
        halves.setStretchFactor(1, 2)
        self.setWidget(Scrolled(halves))
        self.controller.changed.connect(self.refresh)
        self.controller.moved.connect(self._moved)
        self.controller.said.connect(self.foot.say)
        self.refresh()

    def canvasChanged(self, canvas: Any) -> None:  # noqa: ARG002 - Krita calls it so
        """Another view is active: the layers are those of its document. Krita's own name."""
        self._show_layers()

    # -- rows -----------------------------------------------------------------------------------------------------------------------------

    def _half(self) -> Any:
        """A new part of the docker; the rows that follow go into it."""
        half = QtWidgets.QWidget()
        self.column = QtWidgets.QVBoxLayout(half)
        self.column.setContentsMargins(6, 6, 6, 6)
        return half

    def _state_row(self) -> None:
        self.state_label = QtWidgets.QLabel()
        self.state_label.setObjectName("gesso_state")
        self.state_label.setWordWrap(True)
        self.fix = QtWidgets.QPushButton()
        self.fix.setObjectName("gesso_fix")
        self.fix.clicked.connect(lambda *_: self.mend())
        self.column.addWidget(self.state_label)
        self.column.addWidget(self.fix)
        self.steps_box = QtWidgets.QGroupBox("First steps")
        self.steps_box.setObjectName("gesso_steps")
        rows = QtWidgets.QVBoxLayout(self.steps_box)
        self.step_labels = [QtWidgets.QLabel() for _ in range(3)]
        for label in self.step_labels:
            label.setWordWrap(True)
            rows.addWidget(label)
        self.example = QtWidgets.QPushButton("Make it")
        self.example.setObjectName("gesso_example")
        self.example.clicked.connect(lambda *_: self.controller.example())
        rows.addWidget(self.example)
        self.column.addWidget(self.steps_box)

    def _operation_row(self) -> None:
        self.operation = QtWidgets.QComboBox()
        self.operation.setObjectName("gesso_operation")
        self.operation.setAccessibleName("What to do")
        self.operation.currentIndexChanged.connect(lambda *_: self._draw_form())
        self.column.addWidget(self.operation)
        self.form_place = QtWidgets.QVBoxLayout()
        self.column.addLayout(self.form_place)
        self.regions, self.controls = Regions(), Controls(self._trace)
        for fold in (self.regions, self.controls):
            fold.setVisible(False)
            fold.button.toggled.connect(lambda *_: self._show_layers())
            fold.grown.connect(lambda: tabs.order(self.widget()))
            self.column.addWidget(fold)

    def _buttons_row(self) -> None:
        line = QtWidgets.QHBoxLayout()
        self.generate = QtWidgets.QPushButton("Generate")
        self.generate.setObjectName("gesso_generate")
        self.generate.setDefault(True)
        self.generate.clicked.connect(lambda *_: self.submit())
        self.cancel = QtWidgets.QPushButton("Cancel")
        self.cancel.setObjectName("gesso_cancel")
        self.cancel.clicked.connect(lambda *_: self.cancel_all())
        self.earlier = QtWidgets.QPushButton("Prompts")
        self.earlier.setObjectName("gesso_earlier")
        self.earlier.setToolTip("Words that were sent before")
        self.earlier.setMenu(QtWidgets.QMenu(self.earlier))
        self.earlier.menu().aboutToShow.connect(self._list_earlier)
        self.live_button = QtWidgets.QPushButton("Live")
        self.live_button.setObjectName("gesso_live")
        self.live_button.setCheckable(True)
        self.live_button.setToolTip("While you paint, show what the selected region becomes")
        self.live_button.clicked.connect(self.set_live)
        line.addWidget(self.generate, 2)
        line.addWidget(self.live_button, 1)
        line.addWidget(self.cancel, 1)
        line.addWidget(self.earlier)
        self.column.addLayout(line)
        self.bar = QtWidgets.QProgressBar()
        self.bar.setObjectName("gesso_progress")
        self.bar.setRange(0, 1000)
        self.column.addWidget(self.bar)

    def _live_rows(self) -> None:
        self.live = Live(self.controller)
        self.live_box = LiveBox(self.live)
        self.live.stopped.connect(self._live_stopped)
        self.column.addWidget(self.live_box)

    # -- what the user does ---------------------------------------------------------------------------------------------------------------

    def submit(self) -> Task | None:
        """Ask for what is set."""
        if self.panel is None:
            self.foot.say("notice", "Gesso is not connected yet.", "")
            return None
        try:
            values = self.panel.values()
        except GessoError as fault:
            self.controller.tell(fault)
            return None
        self.foot.say("", "", "")
        return self.controller.submit(self.panel.form, {**self._set_by_mode(), **values}, self._wanted(self.panel))

    def _wanted(self, panel: FormPanel) -> Wanted:
        """What is set beside the form's own fields."""
        return Wanted(
            mode="" if self._mode is None else self._mode.name,
            beyond=self.place.beyond.currentData(),
            hidden=self.place.hidden,
            slots=panel.slots(),
            steers=self.controls.read(),
            regions=self.regions.read(),
            wrapped=self.controller.wrapped,
        )

    def _set_by_mode(self) -> Mapping[str, Any]:
        """What the mode sets and the form does not show."""
        return {} if self._mode is None or self.panel is None else {
            name: value for name, value in self._mode.values.items() if name not in self.panel.inputs
        }  # fmt: skip

    def _trace(self, form: Form, kind: str, source: str) -> Task | None:
        """Ask for a control image of what a layer, or the document, shows."""
        wanted = Wanted(hidden=self.place.hidden, slots={"image": source}, whole=True)
        task = self.controller.submit(form, {"kind": kind}, wanted)
        if task is not None:
            task.memo["name"] = kind
        return task

    def _moved(self, task: Task) -> None:
        """A control image that has become a layer steers, and is no part of the picture."""
        layer = self.controls.landed(task, self.controller.document) if task.memo.get("applied") else None
        if layer is not None and layer not in self.place.hidden:
            self.place.toggle(layer)
        self._progress()

    def cancel_all(self) -> None:
        """Cancel what has not ended, of this program alone."""
        for task in list(self.controller.session.tasks.values()):
            if not task.ended:
                self.controller.cancel(task)

    def set_live(self, on: bool) -> None:
        """Follow the brush, or no longer."""
        if not on:
            self.live.stop()
            return
        try:
            if self.panel is None:
                raise InvalidRequest("Gesso is not connected yet.")
            self.live.start(self.panel.form, {**self._set_by_mode(), **self.panel.values()}, self._wanted(self.panel))
        except GessoError as fault:
            self.live_button.setChecked(False)
            self.controller.tell(fault)
            return
        self.live_button.setChecked(True)
        self.live_box.open()
        self.foot.say("", "", "")

    def _live_stopped(self, why: str) -> None:
        self.live_button.setChecked(False)
        self.live_box.setVisible(False)
        if why:
            self.foot.say("notice", why, "")

    def reuse(self, task: Task) -> None:
        """Show a task's operation and settings, with the seed, the control layers and the regions."""
        wanted = orders.guides(task.memo)
        mode = of_task(self._modes, task.operation, task.params, wanted.mode)
        if mode is not None:
            self.operation.setCurrentIndex(self.operation.findData(mode.name))
            if self.panel is not None:
                self.panel.fill({**task.params, **orders.followed(task.memo)}, wanted.slots)
                self.controls.write(wanted.steers)
                self.regions.write(wanted.regions)

    def _title(self, operation: str, params: Mapping[str, Any], memo: Mapping[str, Any]) -> str:
        """What a job does, as the list of what can be done has it."""
        name = orders.guides(memo).mode
        mode = of_task(self._modes, operation, params, name)
        return operation.capitalize() if mode is None else mode.title if params or name else mode.form.title

    def _list_earlier(self) -> None:
        menu = self.earlier.menu()
        menu.clear()
        for prompt in self.controller.history.prompts[:20]:
            words = prompt if len(prompt) < 60 else f"{prompt[:57]}..."
            menu.addAction(words.replace("&", "&&")).triggered.connect(lambda *_, prompt=prompt: self._say_again(prompt))
        if menu.isEmpty():
            menu.addAction("No words have been sent yet").setEnabled(False)

    def _say_again(self, prompt: str) -> None:
        if self.panel is not None and "prompt" in self.panel.inputs:
            self.panel.inputs["prompt"].write(prompt)

    def mend(self) -> None:
        """What the button below the state says."""
        fix = self.controller.session.state.fix
        if fix == "locate":
            path, _ = QtWidgets.QFileDialog.getOpenFileName(self, FIXES["locate"])
            if path:
                self.controller.locate(path)
        elif fix is not None:
            self.controller.session.fix(fix)

    def come_up(self) -> None:
        """Show the docker, in front of those that share its place."""
        self.setVisible(True)
        self.raise_()

    def write_prompt(self) -> None:
        """Put the keyboard into the first field of words."""
        self.come_up()
        if self.panel is not None and "prompt" in self.panel.inputs:
            self.panel.inputs["prompt"].widget.setFocus(QtCore.Qt.FocusReason.ShortcutFocusReason)

    def step_mode(self, by: int) -> None:
        """The next thing to do in the list, or the one before."""
        if self.operation.count():
            self.operation.setCurrentIndex((self.operation.currentIndex() + by) % self.operation.count())

    # -- what changed ---------------------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Draw anew what depends on the daemon."""
        state = self.controller.session.state
        self.state_label.setText(state.sentence + (f" {state.hint}" if state.hint else ""))
        self.fix.setVisible(state.fix is not None)
        self.fix.setText(FIXES.get(state.fix or "", ""))
        self._steps()
        surface = self.controller.session.surface
        if surface is not None and surface is not self._drawn:
            self._drawn = surface
            self._fill_operations()
        for widget in (self.operation, self.place):
            widget.setVisible(self.panel is not None)
        for widget in (self.generate, self.live_button):
            widget.setEnabled(self.panel is not None)
        self._progress()

    def _fill_operations(self) -> None:
        chosen = self.operation.currentData()
        self.operation.blockSignals(True)
        self.operation.clear()
        self._modes = modes(self.controller.forms())
        for mode in self._modes:
            self.operation.addItem(mode.title, mode.name)
            self.operation.setItemData(self.operation.count() - 1, mode.help, QtCore.Qt.ItemDataRole.ToolTipRole)
        self.operation.setCurrentIndex(max(0, self.operation.findData(chosen)))
        self.operation.blockSignals(False)
        self._draw_form()

    def _draw_form(self) -> None:
        """The chosen operation's form, with what had been set in it before."""
        if self.panel is not None:
            self._keep()
            self.form_place.removeWidget(self.panel)
            self.panel.hide()
            self.panel.deleteLater()
            self.panel = None
        self._mode = next((mode for mode in self._modes if mode.name == self.operation.currentData()), None)
        surface = self.controller.session.surface
        if self._mode is not None and surface is not None:
            form, mode = self._mode.form, self._mode
            self.panel = FormPanel(form, surface)
            self.panel.fill(self._kept.get(mode.name) or {**self._carried(mode), **mode.values}, mode.slots)
            self.form_place.addWidget(self.panel)
            tabs.order(self.widget())
            self.operation.setToolTip(mode.help)
            self.place.setVisible(orders.paints_regions(form) or bool(form.of_kind("image")))
        self._show_layers()

    def _show_layers(self) -> None:
        """Bring what lists layers in line with the active document."""
        form, document = None if self.panel is None else self.panel.form, self.controller.document
        self.controls.show_for(form, self.controller.session.surface, document)
        self.regions.show_for(form, document)
        self.place.refresh()

    def _keep(self) -> None:
        if self.panel is not None and self._mode is not None:
            try:
                self._kept[self._mode.name] = self.panel.values()
            except GessoError:
                self._kept.pop(self._mode.name, None)  # half a JSON value is worth nothing in another form

    def _carried(self, mode: Mode) -> Mapping[str, Any]:
        """The words go along from one mode to the next, where words come first: a picture may speak for itself."""
        latest = next((values for other, values in reversed(self._kept.items()) if other != mode.name), {})
        wanted = (field for field in mode.form.fields if field.group == "prompt")
        return {field.name: latest[field.name] for field in wanted if field.name in ("prompt", "negative") and field.name in latest}

    def _steps(self) -> None:
        steps = self.controller.steps()
        self.steps_box.setVisible(not steps[-1].done)  # afterwards the line at the top says enough
        for label, step in zip(self.step_labels, steps):
            label.setText(f"{chr(0x2713) if step.done else chr(0x25CB)} {step.title}: {step.sentence}")
        self.example.setVisible(any(step.fix == "example" for step in steps))

    def _progress(self) -> None:
        tasks = [task for task in self.controller.session.tasks.values() if not task.memo.get("live")]
        going = [task for task in tasks if not task.ended]
        self.cancel.setEnabled(bool(going))
        self.bar.setVisible(bool(going))
        if going:
            self.bar.setValue(round(1000 * going[0].fraction))
            self.bar.setFormat(going[0].words + (f" ({len(going)} jobs)" if len(going) > 1 else ""))
        elif self.steps_box.isVisible():
            self._steps()
