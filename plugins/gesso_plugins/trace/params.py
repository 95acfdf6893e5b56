"""What `trace` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gesso.plugin.fields import InputBlob, ui
from gesso.plugin.operations import OperationParams


class TraceParams(OperationParams):
    """Parameters of `trace`."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture to trace. The result is as large, grey, and bright on black."""

    kind: Literal["canny", "lineart", "scribble", "depth"] = Field("canny", title="Kind", json_schema_extra=ui("choice", 20, "image"))
    """What is drawn: thin edges (canny), lines as dark as they stand out (lineart), broad strokes of the main edges (scribble), or how near
    the surface is (depth), by the network that finds material maps.
    """

    detail: float = Field(1.4, title="Finest detail", ge=0.5, le=16, json_schema_extra=ui("slider", 30, "image", span=(0.5, 8, 0.1)))
    """Pixels over which the picture is smoothed first: what is finer is not drawn."""

    low: float = Field(
        0.1, title="Low threshold", ge=0, le=1, json_schema_extra=ui("slider", 40, "edges", advanced=True, span=(0, 1, 0.01))
    )
    """An edge goes on where it is at least so steep, as a part of the steepest."""

    high: float = Field(
        0.25, title="High threshold", ge=0, le=1, json_schema_extra=ui("slider", 50, "edges", advanced=True, span=(0, 1, 0.01))
    )
    """An edge is one where it is somewhere at least so steep."""
