"""Tiny pipelines of the true architectures of Stable Diffusion, with random weights, saved as diffusers saves them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tests.plugins.conftest import write_tokenizer

from gesso_plugins.diffusion.single_file import VOCABULARY

WIDTH = 32
SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False, "steps_offset": 1}


def real_tokenizer(**settings: Any) -> Any:
    """CLIP's own, which single files are read with."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(VOCABULARY, local_files_only=True, **settings)


def text_encoder(tokenizer: Any, kind: str, **settings: Any) -> Any:
    """A CLIP text encoder: ``CLIPTextModel`` or ``CLIPTextModelWithProjection``."""
    import transformers

    config = transformers.CLIPTextConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "projection_dim": WIDTH,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **settings,
        }
    )
    return getattr(transformers, kind)(config)


def unet(**settings: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        **{
            "sample_size": 16,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": WIDTH,
            "attention_head_dim": 4,
            "norm_num_groups": 8,
            **settings,
        }
    )


def autoencoder(**settings: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        **{
            "block_out_channels": (16, 32),
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "norm_num_groups": 8,
            "latent_channels": 4,
            **settings,
        }
    )


REAL: Mapping[str, Any] = {
    "unet": {"block_out_channels": (64, 128), "norm_num_groups": 32, "cross_attention_dim": 64, "attention_head_dim": 8, "sample_size": 64},
    "vae": {"block_out_channels": (32, 64), "norm_num_groups": 32},
    "text": {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 1, "hidden_act": "quick_gelu"},
}
"""Settings that single files imply: groups of 32, heads of 64 channels in the text encoders, CLIP's vocabulary."""


def build_real(folder: Path, form: str, **unet_settings: Any) -> Path:
    """A pipeline that a single file of the original layout can hold: ``sd1``, ``sd2``, ``sdxl`` or ``sdxl-refiner``."""
    import diffusers

    torch.manual_seed(1)
    xl, second = form.startswith("sdxl"), None
    linear = {} if form == "sd1" else {"use_linear_projection": True, "attention_head_dim": (1, 2)}
    settings = {**REAL["unet"], **linear, **unet_settings}
    text = dict(REAL["text"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if xl:
            base = form == "sdxl"
            micro = {"projection_class_embeddings_input_dim": WIDTH + (6 if base else 5) * 256, "addition_time_embed_dim": 256}
            settings = {**settings, **XL_UNET, "attention_head_dim": (1, 2), **micro, "cross_attention_dim": 128 if base else 64}
            padded = real_tokenizer(pad_token="!")
            second = text_encoder(padded, "CLIPTextModelWithProjection", **{**text, "hidden_act": "gelu"})
        elif form == "sd2":
            text["hidden_act"] = "gelu"
        tokenizer = real_tokenizer(**({"pad_token": "!"} if form == "sd2" else {}))
        first = text_encoder(tokenizer, "CLIPTextModel", **text)
        codec = autoencoder(**REAL["vae"], scaling_factor=0.13025 if xl else 0.18215)
        plan = diffusers.DDIMScheduler(**SCHEDULER)
        parts = {"unet": unet(**settings), "vae": codec, "scheduler": plan}
        if not xl:
            pipeline: Any = diffusers.StableDiffusionPipeline(
                **parts, text_encoder=first, tokenizer=tokenizer, safety_checker=None, feature_extractor=None, requires_safety_checker=False
            )
        elif base:
            pipeline = diffusers.StableDiffusionXLPipeline(
                **parts, text_encoder=first, tokenizer=tokenizer, text_encoder_2=second, tokenizer_2=padded, add_watermarker=False
            )
        else:
            pipeline = diffusers.StableDiffusionXLImg2ImgPipeline(
                **parts,
                text_encoder=None,
                tokenizer=None,
                text_encoder_2=second,
                tokenizer_2=padded,
                requires_aesthetics_score=True,
                force_zeros_for_empty_prompt=False,
                add_watermarker=False,
            )
        pipeline.save_pretrained(folder / form)
    return folder / form


XL_UNET: Mapping[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2),
    "attention_head_dim": (2, 4),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
}


def build_sd(folder: Path, *, scheduler: Mapping[str, Any] | None = None, text: Mapping[str, Any] | None = None, **settings: Any) -> Path:
    """SD 1.x, or 2.x by its settings: ``use_linear_projection``, heads by level, text states of the layer before the last."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = write_tokenizer(folder / "made", 77)
        pipeline = StableDiffusionPipeline(
            autoencoder(),
            text_encoder(tokenizer, "CLIPTextModel", **(text or {})),
            tokenizer,
            unet(**settings),
            DDIMScheduler(**{**SCHEDULER, **(scheduler or {})}),
            None,
            None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder / "model")
    return folder / "model"


def build_xl(folder: Path, *, refiner: bool = False, scheduler: Any = None, **settings: Any) -> Path:
    """SDXL: the base with two text encoders, or the refiner with the second alone and a score among its micro-conditioning."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = write_tokenizer(folder / "made", 77)
        second = text_encoder(tokenizer, "CLIPTextModelWithProjection", hidden_act="gelu")
        micro = (5 if refiner else 6) * 8
        shape = {"cross_attention_dim": WIDTH if refiner else 2 * WIDTH, "projection_class_embeddings_input_dim": WIDTH + micro}
        plan = scheduler or EulerDiscreteScheduler(**{key: value for key, value in SCHEDULER.items() if key != "clip_sample"})
        parts = {"unet": unet(**{**XL_UNET, **shape, **settings}), "vae": autoencoder(force_upcast=True), "scheduler": plan}
        if refiner:
            pipeline: Any = StableDiffusionXLImg2ImgPipeline(
                text_encoder=None,
                tokenizer=None,
                text_encoder_2=second,
                tokenizer_2=tokenizer,
                requires_aesthetics_score=True,
                force_zeros_for_empty_prompt=False,
                add_watermarker=False,
                **parts,
            )
        else:
            first = text_encoder(tokenizer, "CLIPTextModel")
            pipeline = StableDiffusionXLPipeline(
                text_encoder=first, tokenizer=tokenizer, text_encoder_2=second, tokenizer_2=tokenizer, add_watermarker=False, **parts
            )
        pipeline.save_pretrained(folder / "model")
    return folder / "model"
