"""The networks that are trained, as diffusers has them, and the CLIP that they hang on, which stays as it is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gesso.errors import InvalidRequest, ModelError
from gesso.library import read_json
from gesso.media.preparing import Preparing
from gesso.model.seamless import ZERO_PADDED
from gesso.training import ema
from gesso_plugins.unclip.config import ClipConfig, NetworkConfig
from gesso_plugins.unclip.directory import network_class

CLIP_HINT = "Give a directory of a transformers CLIPModel, such as `gesso train clip` writes."


@dataclass
class Clip:
    """Both towers of a CLIP with their projections, its vocabulary, and how it wants pictures."""

    text: Any
    eye: Any
    tokenizer: Any
    preparing: Preparing
    settings: dict[str, Any]

    @staticmethod
    def read(path: Path) -> Clip:
        """From a directory; ModelError where it is none of a CLIPModel."""
        if not (path / "config.json").is_file() or read_json(path / "config.json").get("model_type") != "clip":
            raise ModelError(f"{path} is no CLIP.", hint=CLIP_HINT)
        from transformers.models.clip.modeling_clip import CLIPModel
        from transformers.models.clip.tokenization_clip import CLIPTokenizer

        whole = CLIPModel.from_pretrained(path, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        text = _tower(whole, "CLIPTextModelWithProjection", whole.config.text_config, ("text_model.", "text_projection."))
        eye = _tower(whole, "CLIPVisionModelWithProjection", whole.config.vision_config, ("vision_model.", "visual_projection."))
        file = path / "preprocessor_config.json"
        settings = read_json(file) if file.is_file() else {}
        tokenizer = CLIPTokenizer.from_pretrained(str(path), local_files_only=True)
        return Clip(text, eye, tokenizer, Preparing.of(int(eye.config.image_size), settings), settings)

    @property
    def config(self) -> ClipConfig:
        """Its width and length; InvalidRequest where words and pictures have several widths."""
        text = self.text.config
        if text.projection_dim != text.hidden_size:
            raise InvalidRequest(
                f"The CLIP's text states have {text.hidden_size} numbers and its embeddings {text.projection_dim}; unCLIP reads one.",
                field="clip",
                hint="Give a CLIP whose projection is as wide as its text encoder.",
            )
        return ClipConfig(int(text.projection_dim), int(text.max_position_embeddings))

    @torch.no_grad()
    def see(self, images: Any) -> torch.Tensor:
        """Pictures uint8 (N, S, S, 3) to embeddings (N, D), not normalised."""
        found: torch.Tensor = self.eye(self.preparing(list(images))).image_embeds
        return found

    @torch.no_grad()
    def read_words(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Captions to states (N, L, W), vectors (N, D) and which tokens are words (N, L)."""
        length = self.config.length
        words = self.tokenizer(captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        told = self.text(words.input_ids)
        return told.last_hidden_state, told.text_embeds, words.attention_mask.bool()


def _tower(whole: Any, name: str, config: Any, prefixes: tuple[str, str]) -> Any:
    """One half of a CLIP, with its projection."""
    config.projection_dim = whole.config.projection_dim
    tower = network_class(name)(config)
    tower.load_state_dict({key: value for key, value in whole.state_dict().items() if key.startswith(prefixes)})
    return tower.eval().requires_grad_(False)


class PriorStep(nn.Module):
    """The prior as a function of tensors alone, so that it can compute in half precision."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, time: torch.Tensor, states: torch.Tensor, vector: torch.Tensor, mask: torch.Tensor) -> Any:
        """X (N, D), time (N,) -> the predicted embedding (N, D), standardised as x is."""
        return self.network(x, time, vector, states, mask).predicted_image_embedding


class DecoderStep(nn.Module):
    """Decoder and text projection as a function of tensors alone."""

    def __init__(self, network: Any, projection: Any) -> None:
        super().__init__()
        self.network, self.projection = network, projection

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, words: torch.Tensor, vector: torch.Tensor, embedding: torch.Tensor, heard: torch.Tensor
    ) -> Any:
        """X (N, 3, h, w); ``words`` (N, L, W + 1): text states, and last whether a token is one; ``heard`` (N, 1) -> the noise."""
        states, mask = words[..., :-1], words[..., -1] > 0.5
        unheard = self.projection.learned_classifier_free_guidance_embeddings[None]
        told, added = self.projection(
            image_embeddings=torch.where(heard > 0, embedding, unheard),
            prompt_embeds=vector,
            text_encoder_hidden_states=states,
            do_classifier_free_guidance=False,
        )
        mask = nn.functional.pad(mask, (told.shape[1] - mask.shape[1], 0), value=True)
        return self.network(x, time, told, class_labels=added, attention_mask=mask).sample


class UpsamplerStep(nn.Module):
    """The upsampler as a function of tensors alone."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, small: torch.Tensor, time: torch.Tensor) -> Any:
        """X and the enlarged small picture, (N, 3, H, W) each -> the noise."""
        return self.network(torch.cat([x, small], 1), time).sample


@dataclass
class Stage(ema.Trained):
    """What one stage trains, as the average and the checkpoint see it."""

    step: Any

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor, and what the prior's embeddings are standardised by."""
        return ema.tensors_of(step=self.step)


def build(config: NetworkConfig, clip: ClipConfig) -> dict[str, Any]:
    """Untrained networks by stage, from torch's global random numbers."""
    heads, width, layers = config.prior
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what diffusers tells itself
        prior = network_class("PriorTransformer")(
            num_attention_heads=heads,
            attention_head_dim=width,
            num_layers=layers,
            embedding_dim=clip.width,
            num_embeddings=clip.length,
        )
        projection = network_class("UnCLIPTextProjModel")(
            clip_extra_context_tokens=config.tokens,
            clip_embeddings_dim=clip.width,
            time_embed_dim=4 * config.decoder[0],
            cross_attention_dim=config.context,
        )
        decoder = network_class("UNet2DConditionModel")(**_decoder(config))
        decoder.register_to_config(**{ZERO_PADDED: list(config.zero_padded)})
        upsampler = network_class("UNet2DModel")(**_upsampler(config)) if config.factor > 1 else None
    for frozen in (prior.clip_mean, prior.clip_std):
        frozen.requires_grad_(False)
    steps = {"prior": PriorStep(prior), "decoder": DecoderStep(decoder, projection)}
    return steps if upsampler is None else steps | {"upsampler": UpsamplerStep(upsampler)}


def _decoder(config: NetworkConfig) -> dict[str, Any]:
    levels = len(config.decoder)
    attends = [level >= levels - config.attends for level in range(levels)]
    return {
        "sample_size": config.image,
        "down_block_types": tuple("SimpleCrossAttnDownBlock2D" if hears else "ResnetDownsampleBlock2D" for hears in attends),
        "up_block_types": tuple("SimpleCrossAttnUpBlock2D" if hears else "ResnetUpsampleBlock2D" for hears in reversed(attends)),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": config.decoder,
        "layers_per_block": config.decoder_layers,
        "cross_attention_dim": config.context,
        "attention_head_dim": config.head,
        "norm_num_groups": config.groups,
        "resnet_time_scale_shift": "scale_shift",
        "class_embed_type": "identity",
    }


def _upsampler(config: NetworkConfig) -> dict[str, Any]:
    levels = len(config.upsampler)
    return {
        "sample_size": config.image * config.factor,
        "down_block_types": ("ResnetDownsampleBlock2D",) * levels,
        "up_block_types": ("ResnetUpsampleBlock2D",) * levels,
        "in_channels": 6,
        "out_channels": 3,
        "block_out_channels": config.upsampler,
        "layers_per_block": config.upsampler_layers,
        "norm_num_groups": config.groups,
        "resnet_time_scale_shift": "scale_shift",
        "add_attention": False,
    }
