"""The four parts of the pipeline as diffusers and transformers know them, built from the recipe's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from gesso.model.seamless import ZERO_PADDED
from gesso.training.ema import Trained, tensors_of
from gesso_plugins.starter.config import AutoencoderConfig, DiffusionConfig, TextConfig, UnetConfig


@dataclass
class Denoiser(Trained):
    """What the diffusion stage trains: the network and the text encoder that it learns to read."""

    unet: Any
    text: Any

    def modules(self) -> tuple[nn.Module, nn.Module]:
        """Both parts, in the order in which their tensors are named."""
        return self.unet, self.text

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor by a name that says which part it belongs to."""
        return tensors_of(unet=self.unet, text=self.text)


def build_autoencoder(config: AutoencoderConfig) -> Any:
    """An `AutoencoderKL` without attention, so that it is local and tiles exactly."""
    depth = len(config.channels)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * depth,
        up_block_types=("UpDecoderBlock2D",) * depth,
        block_out_channels=config.channels,
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=config.groups,
        sample_size=128,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    for name, part in vae.named_modules():
        if isinstance(part, nn.Conv2d) and not name.endswith("conv1"):  # keeps the signal's size all along the path
            nn.init.orthogonal_(part.weight.flatten(1).view_as(part.weight))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in vae.modules():
        if type(part).__name__ == "ResnetBlock2D":
            _start_residual(part)
    with torch.no_grad():  # little noise on the latents at first, or nothing gets through
        vae.quant_conv.weight[config.latent_channels :] *= 0.1
        vae.quant_conv.bias[config.latent_channels :] = -5.0
    return vae


def _start_residual(block: Any) -> None:
    """A residual branch that adds nothing at first but constants on half of its channels.

    The path from end to end then begins nearly linear, and the constants are what the group norms measure: without them the norms
    take the mean colour of a tile away, and half of the training goes into finding it again.
    """
    nn.init.zeros_(block.conv2.weight)
    with torch.no_grad():
        channels = len(block.conv2.bias)
        signs = torch.tensor([1.0, 0.0, -1.0, 0.0]).repeat(channels // 4 + 1)
        block.conv2.bias.copy_(signs[:channels])


def build_unet(config: UnetConfig, text: TextConfig, latent_channels: int, sample_size: int) -> Any:
    """The network: residual blocks and transformers with cross-attention to the words on every level; every branch starts at zero.

    The words, pooled, are also added to the embedding of time, where every residual block hears them: attention alone let them say the
    colour, and next to nothing of the structure.
    """
    depth = len(config.channels)
    unet = UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * depth,
        up_block_types=("CrossAttnUpBlock2D",) * depth,
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        cross_attention_dim=text.width,
        attention_head_dim=config.heads,
        norm_num_groups=config.groups,
        use_linear_projection=True,
        addition_embed_type="text",
        addition_embed_type_num_heads=text.heads,
    )
    unet.register_to_config(**{ZERO_PADDED: list(config.zero_padded)})
    nn.init.zeros_(unet.add_embedding.norm2.weight)
    for part in unet.modules():
        kind = type(part).__name__
        if kind == "ResnetBlock2D":
            nn.init.zeros_(part.conv2.weight)
        elif kind == "Transformer2DModel":
            nn.init.zeros_(part.proj_out.weight)
    nn.init.zeros_(unet.conv_out.weight)
    return unet


def build_text_encoder(config: TextConfig, tokenizer: CLIPTokenizer) -> Any:
    """A small CLIP text transformer over the starter's own vocabulary."""
    settings = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=4 * config.width,
        projection_dim=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=config.length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(settings)


def build_scheduler(config: DiffusionConfig) -> Any:
    """The scheduler whose configuration goes with the weights; every sampler reads the noise levels from it."""
    return DDIMScheduler(
        num_train_timesteps=config.timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def count_parameters(module: nn.Module) -> int:
    """How many numbers a module holds."""
    return sum(parameter.numel() for parameter in module.parameters())
