"""The denoiser of every Stable Diffusion: a UNet that hears text states and, where its settings say so, more. It names no family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso.model import Conditioning, Defaults, Latent, Limits, Parametrisation
from gesso.model.seamless import make_seamless
from gesso_plugins.diffusion.bases import BASES
from gesso_plugins.diffusion.border import Border, parametrisation_of
from gesso_plugins.diffusion.family import Traits, latent_of
from gesso_plugins.diffusion.perturbing import layers_of

if TYPE_CHECKING:
    from gesso_plugins.diffusion.codec import Ejects
    from gesso_plugins.diffusion.source import Source


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
    )


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
        self._border = Border.of(parametrisation)
        self._dtype = next(unet.parameters()).dtype

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,) -> x0 (B, C, h, w)."""
        words = cond.tokens.to(x.device, self._dtype)
        scaled = self._border.scaled(x, sigma)
        concat = cond.extras.get("concat")
        if concat is not None:
            scaled = torch.cat([scaled, concat.to(x.device)], dim=1)
        output = self._unet(
            scaled.to(self._dtype),
            self._border.timestep(sigma),
            encoder_hidden_states=words,
            timestep_cond=self._guidance(cond),
            added_cond_kwargs=self._added(x, cond),
            return_dict=False,
        )[0]
        return self._border.x0(x, sigma, output.to(torch.float32))

    def _guidance(self, cond: Conditioning) -> Tensor | None:
        """The scale as the network was distilled to hear it: sines of ``w = scale - 1`` (Meng et al. 2023, arXiv 2210.03142)."""
        scale, width = cond.extras.get("guidance"), self._unet.config.time_cond_proj_dim
        if scale is None or width is None:
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
        """Circular padding of its convolutions."""
        return make_seamless(self.network, x, y)
