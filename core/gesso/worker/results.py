"""From an operation's outputs to the bytes and the description that the front stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gesso import __version__
from gesso.errors import GessoError, OutOfMemory, PluginError
from gesso.media import Output, Recipe
from gesso.plugin import CodecContext, CodecSpec, Registry
from gesso.recipe import texts_of

USUAL, RAW = "png", "raw"
"""What a client gets that names no codec, and bare samples."""
PLANE = "application/x-gesso-plane"


@dataclass(frozen=True)
class Spec:
    """The frozen job: what a lease was resolved to. It is journaled, and goes into every picture's recipe."""

    operation: str
    params: Mapping[str, Any]
    models: Mapping[str, str]
    level: str
    environment: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "operation": self.operation,
            "params": dict(self.params),
            "models": dict(self.models),
            "level": self.level,
            "environment": dict(self.environment),
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_wire(wire: Mapping[str, Any]) -> Spec:
        """Read back what `to_wire` made."""
        return Spec(wire["operation"], wire["params"], wire["models"], wire["level"], wire["environment"], tuple(wire.get("warnings", ())))


@dataclass(frozen=True)
class Encoded:
    """One picture: its entry in the result, and its bytes."""

    entry: Mapping[str, Any]
    content: bytes


def error_of(error: GessoError | None, spec: Spec | None) -> dict[str, Any]:
    """The wire form of what a job failed with; details that are no JSON are left out, and lack of memory says what to try."""
    wire = (error or GessoError("The job failed without saying why.")).to_wire()
    sides = {side: spec.params.get(side) for side in ("width", "height")} if spec else {}
    if isinstance(error, OutOfMemory) and all(isinstance(value, int) for value in sides.values()) and sides:
        half = {side: value // 2 for side, value in sides.items() if value}
        wire["hint"] = f"Half the size, {half['width']} x {half['height']}, needs about a quarter of the memory."
        wire["details"] = {**wire.get("details", {}), "try": half}
    try:
        json.dumps(wire, allow_nan=False)
    except (TypeError, ValueError):
        del wire["details"]
    return wire


def recipe_of(output: Output, spec: Spec) -> Recipe:
    """All that is needed to make this picture again."""
    return Recipe(
        operation=spec.operation,
        params=output.params,
        model=output.model,
        model_digest=spec.models.get(output.model, ""),
        version=__version__,
        level=spec.level,
        role=output.role,
        labels=output.info.get("labels", {}),
        hashes=output.info.get("hashes", {}),
        environment=spec.environment,
    )


@dataclass(frozen=True)
class Coding:
    """The codec that writes a picture, the plugin that it is from, the owner's settings of that, and what the user is to be told."""

    spec: CodecSpec
    plugin: str
    options: Mapping[str, Any]
    warning: str = ""

    def written(self, output: Output, recipe: Recipe) -> bytes:
        """The file; whatever the codec raises is its own fault."""
        pixels = output.pixels[..., None] if output.pixels.ndim == 2 else output.pixels
        texts = texts_of(recipe if output.signed else None)
        try:
            picture = np.ascontiguousarray(pixels)
            content = self.spec.function(CodecContext(picture, output.profile, output.role, texts, self.options, output.associated))
        except (Exception, SystemExit) as fault:
            raise self._fault(f"failed with {type(fault).__name__}: {' '.join(str(fault).split())[:200] or 'no message'}") from fault
        if not isinstance(content, bytes) or not content:
            raise self._fault(f"returned {type(content).__name__} where the bytes of a file were expected")
        return content

    def _fault(self, what: str) -> PluginError:
        return PluginError(f"The codec {self.spec.name!r} of the plugin {self.plugin!r} {what}.", details={"plugin": self.plugin})


def check_form(registry: Registry, form: str) -> None:
    """Refuse, before the work is done, a codec that is not there."""
    if form != RAW:
        registry.codec(form)


def coding(registry: Registry, output: Output, form: str) -> Coding | None:
    """Who writes this picture: the codec that the client named, or where that cannot hold its samples, the picture's own. None: nobody, the
    client wants bare samples.
    """
    if form == RAW:
        return None
    spec = registry.codec(output.kind if form == USUAL else form)
    samples, warning = output.pixels.dtype.name, ""
    if samples not in spec.holds:
        own = registry.codec(output.kind)
        if form != USUAL and own.name != spec.name:
            what = "picture" if output.role == "image" else output.role.replace("_", " ")
            warning = f"The {what} has samples of the type {samples}, which {spec.title} cannot hold: it is written as {own.title}."
        spec = own
    return Coding(spec, registry.codecs.plugin_of(spec.name), registry.options_of("codecs", spec.name), warning)


def encoded(output: Output, spec: Spec, how: Coding | None) -> Encoded:
    """Encode one output; pure CPU work for the thread pool."""
    recipe = recipe_of(output, spec)
    pixels = np.ascontiguousarray(output.pixels)
    if how is None:
        content, media_type, ending = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes(), PLANE, "raw"
    else:
        content, media_type, ending = how.written(output, recipe), how.spec.media_type, how.spec.ending
    entry = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "media_type": media_type,
        "ending": ending,
        "size": len(content),
        "width": int(pixels.shape[1]),
        "height": int(pixels.shape[0]),
        "channels": 1 if pixels.ndim == 2 else int(pixels.shape[2]),
        "dtype": pixels.dtype.name,
        "role": output.role,
        "index": output.index,
        "seed": output.seed,
        "score": output.score,
        "recipe": json.loads(recipe.dumps()),
    }
    entry |= {key: output.info[key] for key in ("scores", "filters", "ranking", "measured") if output.info.get(key)}
    json.dumps(entry, allow_nan=False)  # what cannot cross the wire is the operation's fault, here and now
    return Encoded(entry, content)


def checked(outputs: object, operation: str, plugin: str) -> Sequence[Output]:
    """What an operation returned, if it is a sequence of outputs with at least one."""
    if isinstance(outputs, Sequence) and outputs and all(isinstance(output, Output) for output in outputs):
        return outputs
    raise PluginError(f"The operation {operation!r} returned no pictures but {type(outputs).__name__!r}.", details={"plugin": plugin})


def result(pictures: Sequence[Encoded], spec: Spec, warnings: Sequence[str], seconds: float, info: Mapping[str, Any]) -> dict[str, Any]:
    """The `result` of `done`, as docs/protocol.md has it."""
    model = next(iter(pictures)).entry["recipe"]["model"]
    return {
        "images": [dict(picture.entry) for picture in pictures],
        "warnings": list(warnings),
        "level": spec.level,
        "seconds": round(seconds, 3),
        "model": {"name": model, "digest": spec.models.get(model, "")},
        "environment": dict(spec.environment),
        "info": dict(info),
    }
