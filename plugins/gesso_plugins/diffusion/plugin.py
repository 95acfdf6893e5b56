"""Registers the families of latent diffusion models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gesso.plugin import hookimpl

if TYPE_CHECKING:
    from gesso.model import Family


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Each runs what diffusers keeps in a directory."""
    from gesso_plugins.diffusion.autoencoder import AutoencoderFamily
    from gesso_plugins.diffusion.controlnet import ControlNetFamily
    from gesso_plugins.diffusion.flux import FluxFamily
    from gesso_plugins.diffusion.flux2 import Flux2Family
    from gesso_plugins.diffusion.ip_adapter import IPAdapterFamily
    from gesso_plugins.diffusion.lora import LoraFamily
    from gesso_plugins.diffusion.pipelines import PipelineFamily
    from gesso_plugins.diffusion.pixart import PixArtFamily
    from gesso_plugins.diffusion.qwen_image import QwenImageFamily
    from gesso_plugins.diffusion.sd3 import StableDiffusion3Family
    from gesso_plugins.diffusion.stable_diffusion import StableDiffusionFamily
    from gesso_plugins.diffusion.stable_diffusion_xl import StableDiffusionXLFamily
    from gesso_plugins.diffusion.t2i_adapter import T2IAdapterFamily
    from gesso_plugins.diffusion.textual_inversion import EmbeddingFamily
    from gesso_plugins.diffusion.z_image import ZImageFamily

    return [
        StableDiffusionFamily(),
        StableDiffusionXLFamily(),
        StableDiffusion3Family(),
        FluxFamily(),
        Flux2Family(),
        ZImageFamily(),
        PixArtFamily(),
        QwenImageFamily(),
        LoraFamily(),
        AutoencoderFamily(),
        EmbeddingFamily(),
        ControlNetFamily(),
        T2IAdapterFamily(),
        IPAdapterFamily(),
        PipelineFamily(),
    ]
