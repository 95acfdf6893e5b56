"""From what the user set and what the document shows to a request: which operation, which pictures, where the result belongs.

Which pictures an operation takes stands in its schema; no operation is known here by name. It reads the document and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gesso.errors import InvalidRequest

from ..panel.form import Form
from . import composed, documents
from .boxes import Box, NothingToEdit, Plan, Wishes, plan
from .pngfile import mask_png

BEYOND = ("paint", "grow", "inside")
"""What a selection that crosses the border of the canvas means: paint outside as well, let the canvas grow too, or stay inside."""
CANVAS, LAYER = "canvas", "layer"
"""What the user may put into a slot for pictures, beside a file: what the document shows, or the active layer alone."""


@dataclass(frozen=True)
class Steer:
    """A control layer. ``layer``: `CANVAS` for what is seen, or a layer's id; ``start`` and ``end`` are fractions of the run.
    ``whole``: whether it is a reference, and all of the canvas is shown.
    """

    net: str
    layer: str
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    whole: bool = False


@dataclass(frozen=True)
class Region:
    """Words that hold where a layer (by its id) is opaque."""

    words: str
    layer: str


@dataclass(frozen=True)
class Wanted:
    """What the user set beside the operation's own fields. ``slots``: field -> `CANVAS`, `LAYER` or the path of a file; ``steers``: control
    layers; ``whole``: whether pictures are of the whole canvas, whatever is selected; ``mode``: the name of what was chosen to be done.
    """

    mode: str = ""
    beyond: str = "paint"
    hidden: frozenset[str] = frozenset()
    slots: Mapping[str, str] = field(default_factory=dict)
    steers: Sequence[Steer] = ()
    regions: Sequence[Region] = ()
    whole: bool = False
    wrapped: bool = False
    """Whether Krita shows the document wrapped around: then what can tile does, unless something else is set."""

    def kept(self) -> dict[str, Any]:
        """What `guides` reads again, as JSON: what the parameters of a job do not tell of its layers, and what it was called."""
        return {
            "mode": self.mode,
            "slots": dict(self.slots),
            "steers": [asdict(steer) for steer in self.steers],
            "regions": [asdict(one) for one in self.regions],
        }


def guides(memo: Mapping[str, Any]) -> Wanted:
    """The mode, slots, control layers and regions of an earlier job; none where it was asked for elsewhere."""
    kept = memo.get("wanted", {})
    steers = [Steer(**entry) for entry in kept.get("steers", ())]
    regions = [Region(**entry) for entry in kept.get("regions", ())]
    return Wanted(mode=kept.get("mode", ""), slots=kept.get("slots", {}), steers=steers, regions=regions)


def followed(memo: Mapping[str, Any]) -> dict[str, Any]:
    """Values of an earlier job that its parameters do not have, because its pictures were made after them."""
    return {"invert": True} if memo.get("invert") else {}


@dataclass(frozen=True)
class Order:
    """``params`` may hold functions, which make their files on the job's own thread. ``memo``: where the result belongs, as JSON."""

    operation: str
    params: dict[str, Any]
    memo: dict[str, Any]
    notices: list[str]


def paints_regions(form: Form) -> bool:
    """Whether the operation edits what a mask covers and can give it back as a layer."""
    return all(name in form for name in ("image", "mask", "returns")) and "layer" in [choice.value for choice in form["returns"].choices]


def order(form: Form, values: Mapping[str, Any], document: Any, wanted: Wanted) -> Order:
    """The request; raises InvalidRequest with a sentence fit to show. ``document`` may be None where no picture is taken from it."""
    given = {name: value for name, value in values.items() if name in form and form[name].kind not in ("image", "mask", "images")}
    if paints_regions(form):
        if document is None:
            raise InvalidRequest("No document is open.", hint="Open one, or make one: what is selected in it is painted.")
        return _region(form, given, document, wanted)
    return _plain(form, given, document, wanted)


def _region(form: Form, values: Mapping[str, Any], document: Any, wanted: Wanted) -> Order:
    selected = documents.selection(document)
    if selected is not None and values.get("invert"):
        selected = selected.inverted(documents.canvas(document))
    wishes = Wishes(
        strength=float(values.get("strength", 1.0)),
        grow=values.get("grow"),
        feather=values.get("feather"),
        padding=float(values.get("padding", 0.33)),
        beyond=wanted.beyond != "inside",
    )
    try:
        found = plan(None if selected is None else selected.box, documents.canvas(document), wishes)
    except NothingToEdit as fault:
        raise InvalidRequest(str(fault), field="mask") from fault
    picture = composed.read(document, found.read, wanted.hidden)
    mask = bytes([255]) * (found.context.width * found.context.height) if selected is None else selected.laid_into(found.context)
    if not any(mask):
        raise InvalidRequest("Nothing is selected firmly enough to be painted.", field="mask", hint="Select again, or with less feather.")
    left, top, right, bottom = found.growth
    params = form.params({**{name: value for name, value in values.items() if name not in _FOLLOWING}, **_REQUIRED})
    params.update(
        {name: amount for name, amount in zip(("left", "top", "right", "bottom"), found.growth) if amount},
        image=picture.png,
        mask=lambda: mask_png(found.context.width, found.context.height, mask),
        returns="layer",
        **_guided(form, wanted, document, found.context, str(values.get("prompt") or "")),
    )
    grow, invert = wanted.beyond == "grow" and any((left, top, right, bottom)), bool(values.get("invert"))
    memo = {**_memo(document, found.context, values), "grow": grow, "invert": invert}  # the mask that is sent has been inverted here
    return Order(form.operation, params, memo, documents.notices(document))


_FOLLOWING = ("invert", "returns", "left", "top", "right", "bottom")
"""What follows from the selection and the canvas."""
_REQUIRED: dict[str, Any] = {"image": {"sha256": ""}}
"""Stands for the picture while the other values are checked."""


def _plain(form: Form, values: Mapping[str, Any], document: Any, wanted: Wanted) -> Order:
    if wanted.wrapped and "tile" in form and "tile" not in values:
        values = {**values, "tile": "xy"}
    slots = {name: source for name, source in wanted.slots.items() if name in form}
    for slot in form.of_kind("image", "images"):
        if slot.required:
            slots.setdefault(slot.name, CANVAS)
    box = None
    if document is not None:
        selected = None if wanted.whole else documents.selection(document)
        found: Plan = plan(None if selected is None else selected.box, documents.canvas(document), Wishes(beyond=False))
        box = found.selected
    pictures = {name: _slot(source, document, box, wanted) for name, source in slots.items()}
    params = form.params({**values, **{name: {"sha256": ""} for name in pictures}})
    for name, content in pictures.items():
        params[name] = _listed(content) if form[name].kind == "images" else content
    params.update(_guided(form, wanted, document, box, str(values.get("prompt") or "")))
    notices = documents.notices(document) if document is not None else []
    memo = {} if box is None else {**_memo(document, box, values), "from_image": any(form[name].required for name in pictures)}
    return Order(form.operation, params, memo, notices)


def _listed(content: Any) -> Any:
    """The one picture of a slot that takes several; it is made where it would be made alone."""
    return (lambda: [content()]) if callable(content) else [content]


def _guided(form: Form, wanted: Wanted, document: Any, box: Box | None, prompt: str) -> dict[str, Any]:
    """The parameters of control layers and regions, where the operation carries them."""
    steers, regions = wanted.steers if "control" in form else (), wanted.regions if "region" in form else ()
    if not steers and not regions:
        return {}
    if document is None or box is None:
        raise InvalidRequest("No document is open.", hint="Open one: a layer of it steers the picture.")
    return {**(_steered(wanted, document, box) if steers else {}), **(_regions(wanted, document, box, prompt) if regions else {})}


def _regions(wanted: Wanted, document: Any, box: Box, prompt: str) -> dict[str, Any]:
    """The masks of the regions, by their words and those of the whole."""
    masks: dict[str, bytes] = {}
    for region in wanted.regions:
        node = documents.node_of(document, region.layer)
        words = f"{region.words}, {prompt}" if prompt.strip() else region.words
        if node is None:
            hint = "Choose another one, or remove the region."
            raise InvalidRequest(f"The layer of the region {region.words!r} is not in this document.", field="region", hint=hint)
        if words in masks:
            raise InvalidRequest("Two regions have the same words.", field="region", hint="Remove one, or put the layers into a group.")
        masks[words] = documents.read_alpha(document, node, box)
    return {"region": lambda: {words: mask_png(box.width, box.height, mask) for words, mask in masks.items()}}


def _steered(wanted: Wanted, document: Any, box: Box) -> dict[str, Any]:
    """The parameters of the control layers: their pictures, and what was set away from the defaults."""
    if len({steer.net for steer in wanted.steers}) < len(wanted.steers):
        raise InvalidRequest("Two control layers have the same ControlNet.", field="control", hint="Remove one, or choose another for it.")
    pictures = {}
    for steer in wanted.steers:
        node = documents.node_of(document, steer.layer)
        if node is None and steer.layer != CANVAS:
            hint = "Choose another one, or remove the control layer."
            raise InvalidRequest("The layer that should steer the picture is not in this document.", field="control", hint=hint)
        place = documents.canvas(document) if steer.whole else box
        pictures[steer.net] = composed.read(document, place, wanted.hidden) if node is None else documents.read_layer(document, node, place)
    found: dict[str, Any] = {"control": lambda: {net: picture.png() for net, picture in pictures.items()}}
    for name, default in (("strength", 1.0), ("start", 0.0), ("end", 1.0)):
        changed = {steer.net: getattr(steer, name) for steer in wanted.steers if getattr(steer, name) != default}
        if changed:
            found[f"control_{name}"] = changed
    return found


def _slot(source: str, document: Any, box: Box | None, wanted: Wanted) -> Any:
    """What fills a slot (`CANVAS`, `LAYER`, a layer's id, the path of a file): a function that gives a file, or the file's bytes."""
    node = None if document is None else documents.node_of(document, source)
    if node is None and source not in (CANVAS, LAYER):
        try:
            with open(source, "rb") as file:
                return file.read()
        except OSError as fault:
            raise InvalidRequest(f"The picture {source} cannot be read: {fault.strerror or fault}.") from fault
    if document is None or box is None:
        raise InvalidRequest("No document is open.", hint="Open one: this operation starts from what it shows.")
    if source == CANVAS:
        return composed.read(document, box, wanted.hidden).png
    return documents.read_layer(document, node or document.activeNode(), box).png


def _memo(document: Any, box: Box, values: Mapping[str, Any]) -> dict[str, Any]:
    """Where a result belongs, in words that outlive Krita's own objects."""
    node = document.activeNode()
    return {
        "document": documents.identity(document),
        "above": None if node is None else documents.node_id(node),
        "box": [box.x, box.y, box.width, box.height],
        "name": " ".join(str(values.get("prompt") or "").split())[:60],
    }
