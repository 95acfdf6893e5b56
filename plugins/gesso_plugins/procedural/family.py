"""The model family `procedural`: the renderer as a model without weights. It runs on the CPU, whatever the device."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest
from gesso.manifest import ModelEntry
from gesso.media import MaterialMaps, Rendered
from gesso.model import Defaults, Limits, ModelCard, Patch, Seamless

from .grammar import parse
from .maps import shade, to_uint8
from .render import LARGEST, SMALLEST, render

if TYPE_CHECKING:
    from torch import device

    from .maps import Maps

CAPABILITIES = frozenset({"render", "material_maps"})


class ProceduralFamily:
    """Describes and "loads" the renderer."""

    name = "procedural"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; its digest is that of the renderer's own sources, which are all that a picture depends on."""
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=source_digest(),
            title=entry.title,
            path=None,
            capabilities=CAPABILITIES,
            defaults=Defaults(width=512, height=512),
            limits=Limits(SMALLEST, LARGEST, 1),
            licence=entry.licence,
            info={"weights": "none"},
        )

    def load(self, card: ModelCard, on: device) -> ProceduralModel:  # noqa: ARG002  (nothing is put on a device)
        """The renderer; there is nothing to read."""
        return ProceduralModel(card)


class ProceduralModel:
    """Renders on the thread pool, beside the device. Every picture wraps around on both axes, asked or not."""

    methods: Mapping[str, bool] = {"render": True, "material_maps": True}

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    @property
    def nbytes(self) -> int:
        """It has no weights."""
        return 0

    def patched(self, patches: Sequence[Patch]) -> contextlib.AbstractContextManager[None]:
        """Seamless is what it always is; nothing else can be patched in."""
        for patch in patches:
            if not isinstance(patch, Seamless):
                raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
        return contextlib.nullcontext()

    def apply(self, method: str, inputs: Mapping[str, Any]) -> Rendered | MaterialMaps:
        """``render`` and ``material_maps``; inputs: prompt, width, height, seed."""
        if method not in self.methods:
            raise InvalidRequest(f"The model {self.card.name!r} has no method {method!r}; it has {', '.join(self.methods)}.")
        seed = int(inputs["seed"])
        parsed = parse(str(inputs["prompt"]), seed)
        maps = render(parsed.recipe, int(inputs["width"]), int(inputs["height"]), seed)
        if method == "render":
            return Rendered(to_uint8(shade(maps)), parsed.warnings)
        return _material(maps, parsed.warnings)


def _material(maps: Maps, warnings: tuple[str, ...]) -> MaterialMaps:
    return MaterialMaps(
        base_color=maps.base_color,
        height=maps.height,
        normal=maps.normal,
        roughness=maps.roughness,
        metallic=maps.metallic,
        ambient_occlusion=maps.ambient_occlusion,
        relief=maps.relief,
        warnings=warnings,
    )


@cache
def source_digest() -> str:
    """SHA-256 over the sources of this package."""
    whole = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        whole.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()
