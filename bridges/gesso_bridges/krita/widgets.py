"""One operation's form as Qt widgets: what `panel.form` describes is drawn here and read back. No operation is known by name."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from gesso.errors import InvalidRequest

from ..panel.form import Choice, Field, Form, Surface, json_to_text, text_to_json
from .orders import CANVAS, LAYER, paints_regions
from .qt import QtCore, QtGui, QtWidgets, Signal
from .scrolled import reveal

AUTOMATIC = "Automatic"
_SEED = QtCore.QRegularExpression(r"\d{0,16}")


class FormPanel(QtWidgets.QWidget):
    """The fields of a form. Basic groups are open, advanced ones behind one fold."""

    edited = Signal()

    def __init__(self, form: Form, surface: Surface, parent: Any = None) -> None:
        super().__init__(parent)
        self.form = form
        self.surface = surface
        self.inputs: dict[str, Input] = {}
        self._labels: dict[bool, list[Any]] = {False: [], True: []}
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        fold = Fold("More")
        regional = paints_regions(form)
        for group in sorted(form.groups, key=lambda group: group.name != "prompt"):  # words come first, of the form and of each group
            fields = sorted(group.fields, key=lambda wanted: wanted.kind != "lines")
            shown = [wanted for wanted in fields if not (regional and (wanted.kind in PICTURES or wanted.name in HANDLED))]
            if shown:
                box = self._group(group.title, shown, titled=group.advanced)
                (fold.column if group.advanced else column).addWidget(box)
        if fold.column.count():
            column.addWidget(fold)
        for labels in self._labels.values():  # each group lays out its own rows; they shall stand below each other all the same
            wide = max((label.sizeHint().width() for label in labels), default=0)
            for label in labels:
                label.setMinimumWidth(wide)

    def _group(self, title: str, fields: list[Field], *, titled: bool) -> Any:
        box = QtWidgets.QGroupBox(title) if titled else QtWidgets.QWidget()
        rows = QtWidgets.QFormLayout(box)
        rows.setContentsMargins(4, 2, 4, 2)
        rows.setRowWrapPolicy(QtWidgets.QFormLayout.RowWrapPolicy.WrapLongRows)
        for wanted in fields:
            made = make(wanted, self.surface.choices(wanted))
            made.widget.setObjectName(f"gesso_field_{wanted.name}")
            made.widget.setToolTip(wanted.help)
            made.widget.setAccessibleName(wanted.title)
            made.watch(self.edited.emit)
            self.inputs[wanted.name] = made
            if wanted.kind == "lines":
                rows.addRow(made.widget)
            elif wanted.kind == "toggle":
                made.widget.setText(wanted.title)
                rows.addRow(made.widget)
            else:
                label = QtWidgets.QLabel(wanted.title)
                label.setBuddy(made.widget)
                self._labels[titled].append(label)
                rows.addRow(label, made.widget)
        return box

    def values(self) -> dict[str, Any]:
        """What is set and differs from the defaults; raises InvalidRequest for text that is no JSON."""
        found = {}
        for name, made in self.inputs.items():
            if self.form[name].kind not in PICTURES:
                value = made.read()
                if value != self.form[name].default and not (value is None and self.form[name].optional):
                    found[name] = value
        return found

    def slots(self) -> dict[str, str]:
        """Field -> where its picture comes from, for the slots that are filled."""
        found = {name: made.read() for name, made in self.inputs.items() if self.form[name].kind in PICTURES}
        return {name: source for name, source in found.items() if source}

    def fill(self, values: Mapping[str, Any], slots: Mapping[str, str] | None = None) -> None:
        """Show these values, and the defaults for the others; pictures only where ``slots`` has them."""
        for name, made in self.inputs.items():
            if self.form[name].kind not in PICTURES:
                made.write(values.get(name, self.form[name].default))
            elif slots and name in slots:
                made.write(slots[name])


PICTURES = ("image", "images", "mask")
HANDLED = ("preset", "returns", "left", "top", "right", "bottom")
"""Fields that follow from the mode, the selection and the canvas where an operation paints regions."""


class Fold(QtWidgets.QWidget):
    """A button that shows and hides what lies below it. ``grown``: one more row came into it."""

    grown = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self.button = QtWidgets.QToolButton()
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setArrowType(QtCore.Qt.ArrowType.RightArrow)
        self.button.setObjectName(f"gesso_fold_{title.split(maxsplit=1)[0].lower()}")
        self.body = QtWidgets.QWidget()
        self.column = QtWidgets.QVBoxLayout(self.body)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.body.setVisible(False)
        rows.addWidget(self.button)
        rows.addWidget(self.body)
        self.button.toggled.connect(self._toggled)
        self.button.clicked.connect(lambda *_: reveal(self))

    def _toggled(self, shown: bool) -> None:
        self.body.setVisible(shown)
        self.button.setArrowType(QtCore.Qt.ArrowType.DownArrow if shown else QtCore.Qt.ArrowType.RightArrow)


class Input:
    """A widget with what reads it, writes it and tells of changes."""

    def __init__(self, widget: Any, read: Callable[[], Any], write: Callable[[Any], None], signal: Any) -> None:
        self.widget, self.read, self.write, self._signal = widget, read, write, signal

    def watch(self, call: Callable[[], None]) -> None:
        """Call this when the value changes."""
        self._signal.connect(lambda *_: call())


def make(wanted: Field, choices: list[Choice]) -> Input:
    """The widget for a field, with its default in it."""
    makers: Mapping[str, Callable[[Field, list[Choice]], Input]] = {
        "lines": _lines, "toggle": _toggle, "choice": _choice, "integer": _number, "number": _number, "seed": _seed, "json": _json,
        "image": _picture, "images": _picture, "mask": _picture,
    }  # fmt: skip
    made = makers.get(wanted.kind, _text)(wanted, choices)
    if wanted.kind not in PICTURES:
        made.write(wanted.default)
    return made


class Lines(QtWidgets.QPlainTextEdit):
    """Text of several lines that leaves Shift and Return to the action which has them."""

    def event(self, event: Any) -> bool:
        """Qt's own name."""
        kinds, keys = QtCore.QEvent.Type, (QtCore.Qt.Key.Key_Return, QtCore.Qt.Key.Key_Enter)
        if event.type() == kinds.ShortcutOverride and event.key() in keys and event.modifiers() != QtCore.Qt.KeyboardModifier.NoModifier:
            return False
        return bool(super().event(event))


def _lines(wanted: Field, _: list[Choice]) -> Input:
    widget = Lines()
    widget.setPlaceholderText(wanted.title)
    widget.setTabChangesFocus(True)
    lines = 3 if wanted.widget == "prompt" else 2
    widget.setFixedHeight(widget.fontMetrics().lineSpacing() * lines + 14)

    def write(value: Any) -> None:
        widget.setPlainText(str(value or ""))

    return Input(widget, lambda: widget.toPlainText() or ("" if wanted.default == "" else None), write, widget.textChanged)


def _text(wanted: Field, _: list[Choice]) -> Input:
    widget = QtWidgets.QLineEdit()
    widget.setPlaceholderText(AUTOMATIC if wanted.optional else wanted.title)
    nothing = None if wanted.optional else ""
    return Input(widget, lambda: widget.text() or nothing, lambda value: widget.setText(str(value or "")), widget.textChanged)


def _toggle(wanted: Field, _: list[Choice]) -> Input:
    widget = QtWidgets.QCheckBox(wanted.title)
    return Input(widget, widget.isChecked, lambda value: widget.setChecked(bool(value)), widget.toggled)


def _choice(_: Field, choices: list[Choice]) -> Input:
    widget = QtWidgets.QComboBox()
    widget.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    widget.setMinimumContentsLength(10)
    for choice in choices:
        widget.addItem(choice.title, choice.value)
        if choice.help:
            widget.setItemData(widget.count() - 1, choice.help, QtCore.Qt.ItemDataRole.ToolTipRole)

    def write(value: Any) -> None:
        place = widget.findData(value)
        if place < 0:  # a model that is gone, say: it is shown, and the daemon says what it thinks of it
            widget.addItem(str(value), value)
            place = widget.count() - 1
        widget.setCurrentIndex(place)

    return Input(widget, widget.currentData, write, widget.currentIndexChanged)


def _number(wanted: Field, _: list[Choice]) -> Input:
    """A spin box; one step below the smallest value stands for the model's own choice where there is one."""
    low, high = wanted.span
    if wanted.whole:
        widget, step = QtWidgets.QSpinBox(), 1.0
        low, high = int(low), int(high)
    else:
        widget, step = QtWidgets.QDoubleSpinBox(), 0.05
        widget.setDecimals(3)
    if wanted.slider is not None:
        step = wanted.slider[2]
    bottom = low - step if wanted.optional else low
    widget.setRange(*((int(bottom), int(high)) if wanted.whole else (bottom, high)))
    widget.setSingleStep(int(step) if wanted.whole else step)
    if wanted.optional:
        widget.setSpecialValueText(AUTOMATIC)

    def read() -> Any:
        if wanted.optional and widget.value() == widget.minimum():
            return None
        return widget.value() if wanted.whole else round(widget.value(), 3)

    def write(value: Any) -> None:
        widget.setValue(widget.minimum() if value is None else int(value) if wanted.whole else float(value))

    if wanted.slider is None or wanted.optional:
        return Input(widget, read, write, widget.valueChanged)
    return _with_slider(wanted.slider, widget, Input(widget, read, write, widget.valueChanged))


def _with_slider(span: tuple[float, float, float], spin: Any, inner: Input) -> Input:
    row = QtWidgets.QWidget()
    line = QtWidgets.QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
    first, last, step = span
    slider.setRange(0, round((last - first) / step))
    line.addWidget(slider, 1)
    line.addWidget(spin)
    row.setFocusProxy(spin)

    def follow(*_: Any) -> None:
        slider.blockSignals(True)
        slider.setValue(round((spin.value() - first) / step))
        slider.blockSignals(False)

    def lead(place: int) -> None:
        spin.setValue(type(spin.value())(first + place * step))

    spin.valueChanged.connect(follow)
    slider.valueChanged.connect(lead)
    return Input(row, inner.read, inner.write, spin.valueChanged)


def _seed(_wanted: Field, _: list[Choice]) -> Input:
    row = QtWidgets.QWidget()
    line = QtWidgets.QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    text = QtWidgets.QLineEdit()
    text.setPlaceholderText("Random")
    text.setValidator(QtGui.QRegularExpressionValidator(_SEED, text))
    dice = QtWidgets.QPushButton("New")
    dice.setToolTip("Draw a seed and keep it")
    dice.clicked.connect(lambda: text.setText(str(random.randrange(2**32))))
    line.addWidget(text, 1)
    line.addWidget(dice)
    row.setFocusProxy(text)
    return Input(
        row,
        lambda: int(text.text()) if text.text() else None,
        lambda value: text.setText("" if value is None else str(value)),
        text.textChanged,
    )


def _json(wanted: Field, _: list[Choice]) -> Input:
    widget = QtWidgets.QLineEdit()

    def read() -> Any:
        try:
            found = text_to_json(widget.text(), wanted.title)
        except InvalidRequest as fault:
            raise InvalidRequest(fault.message, field=wanted.name) from fault
        return wanted.default if found is None else found

    def write(value: Any) -> None:
        widget.setText("" if value == wanted.default else json_to_text(value))

    widget.setPlaceholderText(json_to_text(wanted.default) or "JSON")
    return Input(widget, read, write, widget.textChanged)


def _picture(wanted: Field, _: list[Choice]) -> Input:
    """Where a picture comes from: what the document shows, the active layer, or a file."""
    widget = QtWidgets.QComboBox()
    widget.setMinimumContentsLength(10)
    if not wanted.required:
        widget.addItem("None", "")
    widget.addItem("What is seen", CANVAS)
    widget.addItem("Active layer", LAYER)
    widget.addItem("A file ...", "file")

    def chosen(place: int) -> None:
        if widget.itemData(place) == "file":
            path, _ = QtWidgets.QFileDialog.getOpenFileName(widget, wanted.title)
            if path:
                widget.insertItem(place, path.rsplit("/", 1)[-1], path)
            widget.setCurrentIndex(place if path else 0)

    widget.activated.connect(chosen)

    def write(value: Any) -> None:
        widget.setCurrentIndex(max(0, widget.findData(value)))

    return Input(widget, widget.currentData, write, widget.currentIndexChanged)
