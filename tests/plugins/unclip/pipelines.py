"""Tiny pipelines in Karlo's format: the true architectures of diffusers with random weights."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from tests.plugins.conftest import write_tokenizer

WIDTH, LENGTH, SMALL, LARGE = 32, 16, 16, 32
EYE = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
DECODER: dict[str, Any] = {
    "sample_size": SMALL,
    "in_channels": 3,
    "out_channels": 6,
    "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 4,
    "resnet_time_scale_shift": "scale_shift",
    "class_embed_type": "identity",
}
UPSAMPLER: dict[str, Any] = {
    "sample_size": LARGE,
    "layers_per_block": 1,
    "down_block_types": ("ResnetDownsampleBlock2D",) * 2,
    "up_block_types": ("ResnetUpsampleBlock2D",) * 2,
    "block_out_channels": (32, 64),
    "in_channels": 6,
    "out_channels": 3,
}
PREPARING = {"do_center_crop": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}


def build(folder: Path) -> dict[str, Any]:
    """All components; the tokenizer spells, and what starts at zero is random too, so that it is heard."""
    import diffusers
    import transformers
    from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel

    torch.manual_seed(3)
    tokenizer = write_tokenizer(folder / "made", LENGTH)
    tower = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2, "projection_dim": WIDTH}
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    text = transformers.CLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=LENGTH, **ids, **tower)
    prior = diffusers.PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1, num_embeddings=LENGTH, additional_embeddings=4
    )
    projection = UnCLIPTextProjModel(clip_embeddings_dim=WIDTH, time_embed_dim=128, cross_attention_dim=WIDTH)
    with torch.no_grad():
        for parameter in (prior.clip_mean, prior.positional_embedding, projection.learned_classifier_free_guidance_embeddings):
            parameter.normal_()
        prior.clip_std.uniform_(0.5, 1.5)
    learned = {"variance_type": "learned_range", "prediction_type": "epsilon"}
    return {
        "prior": prior,
        "decoder": diffusers.UNet2DConditionModel(**DECODER),
        "text_encoder": transformers.CLIPTextModelWithProjection(text),
        "image_encoder": transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**EYE, projection_dim=WIDTH)),
        "tokenizer": tokenizer,
        "text_proj": projection,
        "super_res_first": diffusers.UNet2DModel(**UPSAMPLER),
        "super_res_last": diffusers.UNet2DModel(**UPSAMPLER),
        "prior_scheduler": diffusers.UnCLIPScheduler(prediction_type="sample", clip_sample_range=5.0),
        "decoder_scheduler": diffusers.UnCLIPScheduler(**learned),
        "super_res_scheduler": diffusers.UnCLIPScheduler(),
    }


def pipeline(parts: dict[str, Any], kind: str = "UnCLIPPipeline") -> Any:
    """A pipeline of diffusers of those components that it takes."""
    import inspect

    import diffusers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = getattr(diffusers, kind)
        takes = inspect.signature(made.__init__).parameters
        found = made(**{name: parts.get(name) for name in takes if name != "self"})
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    found.set_progress_bar_config(disable=True)
    for name in ("prior_scheduler", "decoder_scheduler", "super_res_scheduler"):
        if getattr(found, name, None) is not None:
            precise(getattr(found, name))
    return found


def precise(scheduler: Any) -> Any:
    """A scheduler whose tables agree with one another, in double: in float32 it divides betas[0] by 1 - (1 - betas[0]), off by 2.5e-4."""
    kept = scheduler.alphas_cumprod.double()
    scheduler.alphas_cumprod = kept
    scheduler.alphas = kept / torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
    scheduler.betas = 1 - scheduler.alphas
    return scheduler


def save(parts: dict[str, Any], folder: Path, kind: str = "UnCLIPPipeline", *, eye: bool = True) -> Path:
    """On disk as diffusers saves it, with an image encoder beside the prior where ``eye`` says so."""
    pipeline(parts, kind).save_pretrained(folder)
    if eye:
        parts["image_encoder"].save_pretrained(folder / "image_encoder")
        (folder / "feature_extractor").mkdir(exist_ok=True)
        (folder / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(PREPARING))
        change(folder / "model_index.json", image_encoder=["transformers", "CLIPVisionModelWithProjection"])
    return folder


def change(path: Path, **values: Any) -> None:
    """Settings in a JSON file; None takes one out."""
    settings = json.loads(path.read_text())
    settings |= values
    path.write_text(json.dumps({name: value for name, value in settings.items() if value is not None}))
