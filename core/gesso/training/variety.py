"""How much of a source's variety a small model is shown: fewer layouts than it has, or materials that nobody wrote."""

from __future__ import annotations

from gesso.errors import InvalidRequest
from gesso.plugin.datasets import CaptionedSource, LaidOutSource, MappedSource, VariedSource

LAYOUTS = 1
"""How many layouts of each material models of a few megabytes learn. Endless ones, at any place of the tile, are more than hours of a core
can teach them: what they draw then has the grain of a material and none of its lines. Even of two they lay one over the other.
"""


def laid_out(source: CaptionedSource, layouts: int) -> CaptionedSource:
    """The source with so many layouts of each material; as it is for 0. InvalidRequest where its variety is its own."""
    if not layouts:
        return source
    if not isinstance(source, LaidOutSource):
        raise InvalidRequest(f"The pictures of {source.name!r} have no layouts to choose from.", field="layouts", hint="Give --layouts 0.")
    return source.with_layouts(layouts)


def stays_still(source: CaptionedSource, layouts: int) -> bool:
    """Whether pictures are shown as they are: where their layouts are fixed, and where they do not close at their borders."""
    return bool(layouts) or not getattr(source, "tiles", True)


def varied(source: MappedSource, share: float) -> MappedSource:
    """The source, such a share of whose samples nobody wrote; as it is for 0. InvalidRequest where its materials are its own alone."""
    if not share:
        return source
    if not isinstance(source, VariedSource):
        raise InvalidRequest("The pictures of this source have no variety to choose.", field="variety", hint="Give --variety 0.")
    return source.with_variety(share)
