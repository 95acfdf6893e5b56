"""The denoiser of every Stable Diffusion: a UNet that hears text states and, where its settings say so, more. It names no family."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso.model import Conditioning, Control, Defaults, Latent, Limits, Parametrisation
from gesso.model.border import Border, parametrisation_of
from gesso.model.seamless import make_seamless
from gesso_plugins.diffusion.bases import BASES
from gesso_plugins.diffusion.family import Traits, latent_of
from gesso_plugins.diffusion.listening import cross_attentions, fits, listening
from gesso_plugins.diffusion.perturbing import layers_of
from gesso_plugins.diffusion.steering import Steering, total

if TYPE_CHECKING:
    from gesso_plugins.diffusion.codec import Ejects
    from gesso_plugins.diffusion.source import Source


_INSTANT_STYLE = {"style": "up_blocks.0.attentions.1", "layout": "down_blocks.2.attentions.1"}
"""Wang et al. 2024, InstantStyle, arXiv 2404.02733, section 3.2: the transformers of SDXL that decide of these."""


def unet_traits(source: Source) -> Traits:
    """What the settings of UNet, autoencoder and scheduler say, for the card."""
    unet, scheduler = source.settings("unet"), source.settings("scheduler")
    latent = latent_of(source, "unet", source.settings("vae"))
    parametrisation = parametrisation_of(scheduler)
    side = int(unet.get("sample_size") or 64) * latent.factor
    embeds = unet.get("time_cond_proj_dim") is not None
    return Traits(
        parametrisation=parametrisation,
        latent=latent,
        defaults=_defaults(scheduler, parametrisation, embeds, side),
        limits=Limits(8 * latent.factor, max(2048, side), latent.factor),
        layers=layers_of(unet),
        embeds_guidance=embeds,
        extra_channels=_extra_channels(source, unet, latent),
        base=BASES.get(int(unet.get("cross_attention_dim") or 0), ""),
        hears=_hears(unet),
    )


def _hears(unet: Mapping[str, Any]) -> dict[str, str]:
    """Known of SDXL, which alone is told a picture's size beside the words."""
    layers = layers_of(unet) if unet.get("addition_embed_type") == "text_time" else ()
    return {part: layer for part, layer in _INSTANT_STYLE.items() if layer in layers}


def _defaults(scheduler: Mapping[str, Any], parametrisation: Parametrisation, embeds: bool, side: int) -> Defaults:
    """Distilled models say so by their scheduler (LCM) or by its spacing (Turbo): few steps, guidance inside the network or none."""
    if scheduler.get("_class_name") == "LCMScheduler":
        return Defaults("lcm", "sgm_uniform", 4, 8.0 if embeds else 1.0, side, side)
    distilled = scheduler.get("timestep_spacing") == "trailing" and parametrisation.prediction == "epsilon"
    if distilled and not scheduler.get("rescale_betas_zero_snr"):
        return Defaults("euler_ancestral", "sgm_uniform", 4, 1.0, side, side)
    return Defaults(width=side, height=side)


def _extra_channels(source: Source, unet: Mapping[str, Any], latent: Latent) -> int:
    """Channels beside the latent: none, or a mask and the latent of the masked picture."""
    given, out = unet.get("in_channels"), unet.get("out_channels")
    if out == latent.channels and given in (latent.channels, 2 * latent.channels + 1):
        return int(given) - latent.channels
    raise ModelError(
        f"The UNet in {source.path} has {given} channels in and {out} out, its autoencoder {latent.channels}; "
        "depth and instruction models are not run by this family.",
        hint="Use a text-to-image or an inpainting model.",
    )


class UNetDenoiser:
    """A UNet of diffusers. ``latent``: the space that it works in; pictures' sizes are read off x."""

    def __init__(self, unet: Any, parametrisation: Parametrisation, latent: Latent) -> None:
        self.network: nn.Module = unet
        self._unet = unet
        self._latent = latent
        self._border = Border(parametrisation)
        self._dtype = next(unet.parameters()).dtype
        self._controls: Sequence[Control] = ()
        self._wraps: tuple[bool, bool] | None = None
        self._listeners = cross_attentions(unet)
        self._passed = [unet.conv_in.out_channels, *_skips(unet)]

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,) -> x0 (B, C, h, w)."""
        words = cond.tokens.to(x.device, self._dtype)
        level = self._border.at(sigma)
        scaled = x * level.scale
        concat = cond.extras.get("concat")
        if concat is not None:
            scaled = torch.cat([scaled, concat.to(x.device)], dim=1)
        inputs = {
            "sample": scaled.to(self._dtype),
            "timestep": level.timestep,
            "encoder_hidden_states": words,
            "added_cond_kwargs": self._added(x, cond),
        }
        if self._controls:
            parts = self._steered({**inputs, "heard": cond.extras.get("heard")})
            added = {name: _cast(value, self._dtype) for name, value in total(parts).items()}
            with listening(self._listeners, [part.spoken for part in parts if part.spoken is not None]):
                output = self._unet(**inputs, **added, timestep_cond=self._guidance(cond), return_dict=False)[0]
        else:
            output = self._unet(**inputs, timestep_cond=self._guidance(cond), return_dict=False)[0]
        return level.x0(x, output.to(torch.float32))

    @contextlib.contextmanager
    def controlled(self, controls: Sequence[Control]) -> Iterator[None]:
        """ControlNets and T2I-Adapters add to the forwards within; they wrap around where the UNet does."""
        self._controls = controls
        wrapped = [make_seamless(control.weights.network, *self._wraps) for control in controls if self._wraps is not None]
        try:
            yield
        finally:
            self._controls = ()
            for padding in wrapped:
                padding.eject()

    def _steered(self, inputs: Mapping[str, Any]) -> list[Steering]:
        """What each control adds."""
        parts = []
        for control in self._controls:
            part = control.weights.steer(inputs, control.image.to(inputs["sample"].device), control.strength)
            if not self._fits(part):
                raise control.weights.unfit()
            heard = part.spoken and replace(part.spoken, layer=control.layer)
            parts.append(replace(part, spoken=heard))
        return parts

    def _fits(self, part: Steering) -> bool:
        """Whether it was made for levels as wide as these."""
        if part.middle is not None and [*(skip.shape[1] for skip in part.skips), part.middle.shape[1]] != [*self._passed, self._passed[-1]]:
            return False
        if part.spoken is not None and not fits(self._listeners, part.spoken):
            return False
        return not part.features or [feature.shape[1] for feature in part.features] == list(self._unet.config.block_out_channels)

    def _guidance(self, cond: Conditioning) -> Tensor | None:
        """The scale as the network was distilled to hear it: sines of ``w = scale - 1`` (Meng et al. 2023, arXiv 2210.03142)."""
        scale = cond.extras.get("guidance")
        if scale is None or (width := self._unet.config.time_cond_proj_dim) is None:
            return None
        half = width // 2
        rates = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
        angles = (scale.to("cpu", torch.float32).view(-1, 1) - 1.0) * 1000.0 * rates
        sines = torch.cat([angles.sin(), angles.cos()], dim=1)
        return nn.functional.pad(sines, (0, width - 2 * half)).to(scale.device, self._dtype)

    def _added(self, x: Tensor, cond: Conditioning) -> dict[str, Tensor] | None:
        """SDXL's micro-conditioning (Podell et al. 2023, arXiv 2307.01952, section 2.2): a picture of this size, not cropped."""
        if cond.pooled is None:
            return None
        height, width = (float(side * self._latent.factor) for side in x.shape[-2:])
        own = torch.tensor([height, width, 0.0, 0.0, height, width], device=x.device).expand(len(x), -1)
        score = cond.extras.get("aesthetic")
        if score is not None:
            own = torch.cat([own[:, :4], score.to(x.device)], dim=1)
        return {"text_embeds": cond.pooled.to(x.device, self._dtype), "time_ids": own.to(self._dtype)}

    def seamless(self, x: bool, y: bool) -> Ejects:
        """Circular padding of its convolutions, and of those of ControlNets."""
        return _Wrapped(self, x, y)

    def wrap(self, axes: tuple[bool, bool] | None) -> None:
        """Remember for ControlNets along which axes the picture wraps."""
        self._wraps = axes


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return [part.to(dtype) for part in value] if isinstance(value, list) else value.to(dtype)


class _Wrapped:
    """A UNet with circular padding, until it is taken back."""

    def __init__(self, denoiser: UNetDenoiser, x: bool, y: bool) -> None:
        self._denoiser = denoiser
        self._padding = make_seamless(denoiser.network, x, y)
        denoiser.wrap((x, y))

    def eject(self) -> None:
        """Take it back."""
        self._denoiser.wrap(None)
        self._padding.eject()


def _skips(unet: Any) -> Iterator[int]:
    """Channels of the skip connections after the first, from the outside in."""
    for block in unet.down_blocks:
        for resnet in block.resnets:
            yield int(resnet.out_channels)
        if block.downsamplers:
            yield int(block.downsamplers[0].out_channels)
