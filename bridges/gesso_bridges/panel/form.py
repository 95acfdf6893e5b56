"""An operation's JSON Schema as a form: groups of fields with everything a host needs to draw, check and send them. It draws nothing.

An unknown `x-ui` widget makes a plain field of the schema's type, so that what a later plugin brings still shows.
"""

from __future__ import annotations

import json
import math
import operator
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from gesso.errors import InvalidRequest

KINDS = ("text", "lines", "integer", "number", "toggle", "choice", "seed", "colour", "image", "images", "mask", "json", "hidden")
"""How a field is drawn. ``lines`` is a large text field; ``json`` a text field whose content is JSON."""

_BY_WIDGET: Mapping[str, str] = {
    "prompt": "lines", "negative": "lines", "seed": "seed", "image": "image", "mask": "mask", "colour": "colour", "toggle": "toggle",
    "hidden": "hidden", "model": "choice",
}  # fmt: skip
_BY_TYPE: Mapping[str, str] = {"string": "text", "integer": "integer", "number": "number", "boolean": "toggle"}
_GROUP_TITLES: Mapping[str, str] = {"": "Settings"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")


@dataclass(frozen=True)
class Choice:
    """An entry of a drop-down list; ``value`` None stands for the model's own choice."""

    value: Any
    title: str
    help: str = ""


@dataclass(frozen=True)
class Field:
    """One parameter. ``optional``: null, or left out, means that the model or the daemon decides. ``slider``: (from, to, step)."""

    name: str
    kind: str
    title: str
    help: str
    group: str
    order: int = 0
    default: Any = None
    optional: bool = False
    required: bool = False
    advanced: bool = False
    widget: str = ""
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    above: Optional[float] = None
    below: Optional[float] = None
    slider: Optional[Tuple[float, float, float]] = None
    choices: Tuple[Choice, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What each choice sets other fields to, where they are left at their defaults."""
    catalogue: str = ""
    pattern: str = ""
    shortest: int = 0
    longest: Optional[int] = None

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return self.kind in ("integer", "seed")

    @property
    def span(self) -> Tuple[float, float]:
        """(smallest, largest) that a widget offers; a seed's is cut to what hosts with 32-bit numbers can hold."""
        low = self.minimum if self.minimum is not None else self.above if self.above is not None else -1e9
        high = self.maximum if self.maximum is not None else self.below if self.below is not None else 1e9
        return low, min(high, 2**31 - 1) if self.whole else high

    def fault(self, value: Any) -> Optional[str]:
        """What is wrong with a value, as a sentence, or None."""
        if value is None:
            return f"{self.title} is missing." if self.required or not self.optional else None
        if self.kind in ("integer", "number", "seed"):
            return self._number_fault(value)
        if self.kind in ("text", "lines", "choice", "colour") and isinstance(value, str):
            return self._text_fault(value)
        if self.kind == "toggle" and not isinstance(value, bool):
            return f"{self.title} is on or off."
        return None

    def _number_fault(self, value: Any) -> Optional[str]:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return f"{self.title} must be a number."
        if self.whole and value != int(value):
            return f"{self.title} must be a whole number."
        for limit, compare, words in (
            (self.minimum, operator.ge, "at least"),
            (self.maximum, operator.le, "at most"),
            (self.above, operator.gt, "more than"),
            (self.below, operator.lt, "less than"),
        ):
            if limit is not None and not compare(value, limit):
                return f"{self.title} must be {words} {limit:g}, not {value:g}."
        return None

    def _text_fault(self, value: str) -> Optional[str]:
        if (len(value) < self.shortest or (self.required and not value.strip())) and (self.required or value):
            return f"{self.title} is empty."
        if self.longest is not None and len(value) > self.longest:
            return f"{self.title} is longer than {self.longest} characters."
        if self.pattern and value and not re.search(self.pattern, value):
            return f"{self.title} does not look right: {value!r:.60}."
        if self.choices and value not in [choice.value for choice in self.choices]:
            return f"{self.title} is one of {', '.join(str(choice.value) for choice in self.choices)}, not {value!r:.60}."
        return None


@dataclass(frozen=True)
class Group:
    """Fields that belong together; ``advanced`` ones lie behind a fold."""

    name: str
    title: str
    fields: Tuple[Field, ...]
    advanced: bool = False


@dataclass(frozen=True)
class Form:
    """One operation. ``summary`` is a sentence."""

    operation: str
    title: str
    summary: str
    plugin: str
    groups: Tuple[Group, ...]
    _index: Dict[str, Field] = field(default_factory=dict, compare=False, repr=False)

    @property
    def fields(self) -> List[Field]:
        """Every field in the order in which it is drawn, hidden ones last."""
        return list(self._index.values())

    def __getitem__(self, name: str) -> Field:
        return self._index[name]

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def of_kind(self, *kinds: str) -> List[Field]:
        """The fields that are drawn so."""
        return [found for found in self.fields if found.kind in kinds]

    def params(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        """What to send: the values that differ from the defaults, checked; raises InvalidRequest with the field at fault."""
        sent: Dict[str, Any] = {}
        for name in values:
            if name not in self._index:
                raise InvalidRequest(f"{self.title} has no parameter {name!r}.", field=name, hint=f"It has {', '.join(self._index)}.")
        for name, found in self._index.items():
            value = values.get(name, found.default)
            if name not in values and not found.required:
                continue
            fault = found.fault(value)
            if fault is not None:
                raise InvalidRequest(fault, field=name)
            if found.required or value != found.default:
                sent[name] = int(value) if found.whole and value is not None else value
        return sent


@dataclass(frozen=True)
class Surface:
    """All operations, and the catalogues from which fields choose."""

    forms: Mapping[str, Form]
    catalogues: Mapping[str, Tuple[Mapping[str, Any], ...]]

    def choices(self, wanted: Field) -> List[Choice]:
        """What a field can be set to: the model's own choice first where that is possible."""
        found = [Choice(None, "Automatic", "What suits the model.")] if wanted.optional else []
        if wanted.choices:
            return found + list(wanted.choices)
        listed = self.catalogues.get(wanted.catalogue, ())
        return found + [Choice(entry["name"], str(entry.get("title") or entry["name"]), str(entry.get("paper", ""))) for entry in listed]


def parse(document: Mapping[str, Any]) -> Surface:
    """The answer to `describe` -> surface. An operation that cannot be read is left out: one broken plugin takes no other's panel away."""
    forms = {}
    for name, entry in document.get("operations", {}).items():
        if isinstance(entry, Mapping) and isinstance(entry.get("params"), Mapping):
            forms[name] = _form(name, entry)
    catalogues = {kind: tuple(entries) for kind, entries in document.get("catalogues", {}).items()}
    return Surface(forms, catalogues)


def _form(name: str, entry: Mapping[str, Any]) -> Form:
    schema = entry["params"]
    required = frozenset(schema.get("required", ()))
    fields = [_field(key, raw, key in required) for key, raw in schema.get("properties", {}).items()]
    fields.sort(key=lambda found: found.order)
    groups: List[Group] = []
    for advanced in (False, True):
        shown = [found for found in fields if found.advanced is advanced and found.kind != "hidden"]
        for group in dict.fromkeys(found.group for found in shown):
            title = _GROUP_TITLES.get(group, group.replace("_", " ").capitalize())
            groups.append(Group(group, title, tuple(found for found in shown if found.group == group), advanced))
    drawn = [found for group in groups for found in group.fields]
    hidden = [found for found in fields if found.kind == "hidden"]
    index = {found.name: found for found in [*drawn, *hidden]}
    return Form(name, str(entry.get("title", name)), str(entry.get("summary", "")), str(entry.get("plugin", "")), tuple(groups), index)


def _field(name: str, raw: Mapping[str, Any], required: bool) -> Field:
    hints = raw.get("x-ui")
    hints = hints if isinstance(hints, Mapping) else {}
    types = raw.get("type", "string")
    types = [types] if isinstance(types, str) else list(types)
    optional = "null" in types
    plain = next((kind for kind in types if kind != "null"), "string")
    span, presets = hints.get("range"), hints.get("presets")
    return Field(
        name=name,
        kind=_kind(raw, plain, str(hints.get("widget", ""))),
        title=str(raw.get("title") or name.replace("_", " ").capitalize()),
        help=" ".join(str(raw.get("description", "")).split("\n\n")[0].split()),
        group=str(hints.get("group", "")),
        order=int(hints.get("order", 1_000_000)),
        default=raw.get("default"),
        optional=optional or (not required and "default" not in raw),
        required=required,
        advanced=bool(hints.get("advanced", False)),
        widget=str(hints.get("widget", "")),
        minimum=raw.get("minimum"),
        maximum=raw.get("maximum"),
        above=raw.get("exclusiveMinimum"),
        below=raw.get("exclusiveMaximum"),
        slider=(float(span[0]), float(span[1]), float(span[2])) if isinstance(span, (list, tuple)) and len(span) == 3 else None,
        choices=tuple(Choice(value, str(value)) for value in raw.get("enum", ()) if value is not None),
        presets=presets if isinstance(presets, Mapping) else {},
        catalogue=str(raw.get("x-choices", "")),
        pattern=str(raw.get("pattern", "")),
        shortest=int(raw.get("minLength", 0)),
        longest=raw.get("maxLength"),
    )


def _kind(raw: Mapping[str, Any], plain: str, widget: str) -> str:
    """The hint where it fits the type, else the type."""
    known = _BY_WIDGET.get(widget)
    if known in ("image", "mask"):
        return "images" if plain == "array" else known if plain == "object" else "json"
    if known == "seed" and plain != "integer":
        known = None
    if known == "hidden" or (known is not None and plain in ("string", "integer", "boolean")):
        return known
    if raw.get("enum") or (raw.get("x-choices") and plain == "string"):
        return "choice"
    return _BY_TYPE.get(plain, "json")


def colour_to_rgb(text: str) -> Tuple[float, float, float]:
    """``#rrggbb`` -> three numbers of 0 to 1; raises InvalidRequest."""
    if not _COLOUR.match(text):
        raise InvalidRequest(f"A colour is #rrggbb, not {text!r:.40}.")
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def rgb_to_colour(rgb: Tuple[float, float, float]) -> str:
    """Three numbers of 0 to 1 -> ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, part))):02x}" for part in rgb)


def json_to_text(value: Any) -> str:
    """A value without a widget of its own, as text to edit; null is empty."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def text_to_json(text: str, title: str = "This") -> Any:
    """What was typed for such a value; raises InvalidRequest."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as fault:
        raise InvalidRequest(f'{title} must be JSON, such as {{"name": 1}}: {fault}.') from fault
