"""What can be done to a picture, as a painter calls it: an operation, one of its presets, or an operation set up for one purpose.

Presets come from the schemas. An operation that is not named here stands at the end of the list, under its own title.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..panel.form import Form
from .orders import CANVAS

TITLES = {
    "edit:inpaint": "Fill", "edit:refine": "Refine", "edit:outpaint": "Expand", "edit:add": "Add", "edit:remove": "Remove",
    "edit:background": "Replace background", "texture:tile": "Seamless tile",
}  # fmt: skip
HELP = {
    "edit:inpaint": "Fill what is selected with something new.",
    "edit:refine": "Work out what is there: the selection keeps its shapes and colours.",
    "edit:outpaint": "Go on with the picture: select an empty part, or over the border of the canvas.",
    "edit:add": "Put something into the selection, in the light of what is there.",
    "edit:remove": "Take what is selected away, with its edge.",
    "edit:background": "Select what stays: all else is new.",
    "texture:tile": "Make the picture, or what is selected of it, wrap around without a seam.",
}
SET_UP = {"texture:tile": ("texture", {"maps": False}, {"image": CANVAS})}
"""Name -> (operation, values, where its pictures come from)."""
ORDER = (*list(TITLES)[:-1], "vary", "style", "upscale", "texture:tile", "instruct", "generate", "texture")


@dataclass(frozen=True)
class Mode:
    """``values``: what it sets fields to; ``slots``: where pictures come from, unless the user says otherwise."""

    name: str
    title: str
    help: str
    form: Form
    values: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)


def modes(forms: Mapping[str, Form]) -> list[Mode]:
    """All of them, in the order in which they are offered."""
    found = []
    for form in forms.values():
        presets = {name: values for each in form.fields for name, values in each.presets.items()}
        if not presets:
            found.append(Mode(form.operation, form.title, form.summary, form))
        for name, values in presets.items():
            found.append(_named(f"{form.operation}:{name}", form, values))
    for name, (operation, values, slots) in SET_UP.items():
        if operation in forms:
            found.append(_named(name, forms[operation], values, slots))
    place = {name: number for number, name in reversed(list(enumerate(ORDER)))}
    return sorted(found, key=lambda mode: place.get(mode.name, len(ORDER)))


def of_task(found: list[Mode], operation: str, params: Mapping[str, Any], name: str = "") -> Mode | None:
    """The mode of that name, else the one that comes nearest to what a job was asked for."""
    fitting = [mode for mode in found if mode.form.operation == operation]
    named = next((mode for mode in fitting if mode.name == name), None)
    return named or max(fitting, key=lambda mode: sum(params.get(key) == value for key, value in mode.values.items()), default=None)


def _named(name: str, form: Form, values: Mapping[str, Any], slots: Mapping[str, str] | None = None) -> Mode:
    title = TITLES.get(name, name.rpartition(":")[2].replace("_", " ").capitalize())
    return Mode(name, title, HELP.get(name, form.summary), form, values, slots or {})
