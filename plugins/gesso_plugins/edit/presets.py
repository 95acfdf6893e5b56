"""What artists call the things that `edit` does, as settings of it. Nothing of a preset is left once a request is resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest

if TYPE_CHECKING:
    from gesso_plugins.edit.params import EditParams

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "inpaint": {},
    "refine": {"strength": 0.4},
    "outpaint": {"padding": 1.0},
    "background": {"invert": True},
    "remove": {"grow": 12, "feather": 16, "padding": 1.0},
    "add": {"strength": 0.85, "padding": 0.66},
}
"""`refine` keeps what is there and works it out; `remove` takes the edge of what goes away with it, and lets the model see much of what
stays; `add` keeps the light of what is there.
"""


def preset(params: EditParams) -> EditParams:
    """The same request in full: what was left at its default as the preset has it."""
    if params.preset is None:
        return params
    if params.preset == "outpaint" and not (params.left or params.top or params.right or params.bottom):
        raise InvalidRequest("Nothing is to be extended.", field="preset", hint="Say by how many pixels with left, top, right or bottom.")
    if params.preset == "background" and params.mask is None:
        raise InvalidRequest("Without a mask of what stays there is no background.", field="mask", hint="Give a mask of what is to stay.")
    if params.preset == "add" and not params.prompt.strip():
        raise InvalidRequest("It was not said what is to be added.", field="prompt", hint="Say it with a prompt.")
    fields = type(params).model_fields
    unset = {name: value for name, value in PRESETS[params.preset].items() if getattr(params, name) == fields[name].default}
    return params.model_copy(update={**unset, "preset": None})
