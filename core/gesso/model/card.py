"""A model's card: what can be said of it from its configuration files alone, before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from gesso.errors import InvalidRequest, ModelError
from gesso.model.cascade import Cascade
from gesso.model.parametrisation import Parametrisation, Shift
from gesso.model.thrift import Size


@dataclass(frozen=True)
class Defaults:
    """What the model does best when the request is silent. preview_vae: the autoencoder that pictures on their way are judged through.
    temperature, top_p: of models that draw tokens, as in `gesso.model.TokenChoice`.
    """

    sampler: str = "dpmpp_2m"
    schedule: str = "karras"
    steps: int = 20
    guidance: float = 5.0
    width: int = 512
    height: int = 512
    preview_vae: str | None = None
    temperature: float = 1.0
    top_p: float = 1.0


@dataclass(frozen=True)
class Limits:
    """The image sizes that the model can make, in pixels; both sides must be multiples of ``multiple``."""

    smallest: int = 64
    largest: int = 2048
    multiple: int = 8

    def nearest(self, side: int) -> int:
        """The possible side nearest to ``side`` (the larger of two)."""
        lowest = -(-self.smallest // self.multiple) * self.multiple
        highest = self.largest // self.multiple * self.multiple
        rounded = (side + self.multiple // 2) // self.multiple * self.multiple
        return min(max(rounded, lowest), highest)


Overlaid = TypeVar("Overlaid", Defaults, Limits)


def overlaid(name: str, own: Overlaid, declared: Mapping[str, Any]) -> Overlaid:
    """What the owner declares of the model `name` over what its files say; ModelError for what does not exist."""
    try:
        return replace(own, **declared)
    except TypeError as fault:
        raise ModelError(f"The manifest declares something about the model {name!r} that does not exist: {fault}.") from fault


@dataclass(frozen=True)
class Latent:
    """The space that a denoiser works in: ``channels`` planes, each side ``1 / factor`` of the picture's."""

    channels: int
    factor: int

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w) for a picture of width x height pixels."""
        return self.channels, height // self.factor, width // self.factor


@dataclass(frozen=True)
class ModelCard:
    """Everything the job needs to know to be resolved and planned. ``capabilities`` are names of `gesso.model.capabilities`, snake_case;
    ``instruct`` beside ``denoise``: it does to a picture what the prompt says, and takes the picture's latent as ``extras["reference"]``
    of each conditioning.

    parametrisation is set where the model can ``denoise``, latent there, where it can ``draw`` and where it is a ``cascade``. options: the
    keys that ``options.<family>`` of a request may have.
    shift: how the noise levels move with the size of the picture. layers: the parts of the network that guidance may perturb
    (`gesso.model.Perturbs`), the one to take by default first.
    embeds_guidance: the scale goes into the network as ``extras["guidance"]`` of each conditioning, and no negative row is computed.
    extra_channels: how many channels the network takes beside the latent, as ``extras["concat"]``; inpainting models have 1 + C (mask,
    then the masked picture's latent). base: what LoRAs and controls must have been made for (``sd1``, ``sd2``, ``sdxl``, ...).
    hears: where it is known, by what it takes from a reference (``style``, ``layout``), the one of the ``layers`` that takes that alone.
    parts: the sizes of those parts of it of which one alone may be on the device (`gesso.model.Frugal`).
    cascade: what it is made of, where it makes a picture in several parts.
    """

    name: str
    family: str
    digest: str
    title: str
    path: Path | None
    capabilities: frozenset[str]
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    licence: str = ""
    info: Mapping[str, str] = field(default_factory=dict)
    parametrisation: Parametrisation | None = None
    latent: Latent | None = None
    options: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    shift: Shift | None = None
    embeds_guidance: bool = False
    extra_channels: int = 0
    base: str = ""
    hears: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Size] = field(default_factory=dict)
    cascade: Cascade | None = None

    def levels(self, width: int, height: int) -> Parametrisation:
        """The parametrisation for pictures of this size; only of a model that can ``denoise``."""
        assert self.parametrisation is not None
        return self.parametrisation if self.shift is None else self.shift.apply(self.parametrisation, width, height)

    def size(self, width: int | None, height: int | None) -> tuple[int, int]:
        """The size asked for, or the model's own where none was; InvalidRequest names the side that the model cannot do and the nearest."""
        asked = {"width": self.defaults.width if width is None else width, "height": self.defaults.height if height is None else height}
        for field_name, side in asked.items():
            nearest = self.limits.nearest(side)
            if side != nearest:
                between = f"{self.limits.smallest} to " if self.limits.smallest < self.limits.largest else ""
                steps = f" in steps of {self.limits.multiple}" if self.limits.multiple > 1 and between else ""
                raise InvalidRequest(
                    f"The model {self.name!r} makes pictures of {between}{self.limits.largest} pixels a side{steps}, "
                    f"and the {field_name} {side} is not one of them; the nearest is {nearest}.",
                    field=field_name,
                    hint=f"Ask for {nearest}.",
                    details={"nearest": nearest},
                )
        return asked["width"], asked["height"]

    def fitting(self, width: int, height: int) -> tuple[int, int]:
        """The size that the model can make which is nearest to a picture's: of its shape, and no larger than it where that can be."""
        scale = min(1.0, self.limits.largest / max(width, height))
        return self.limits.nearest(round(width * scale)), self.limits.nearest(round(height * scale))
