"""The pipeline directory: written in half precision as diffusers writes it, and read back for sampling or further training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from gesso.training.files import read_json, write_atomically
from gesso_plugins.starter.config import DiffusionConfig
from gesso_plugins.starter.networks import Denoiser, build_scheduler

RECORD = "training.json"
LARGEST_FILE = 16 * 2**20
BUDGET = {"unet": 15_000_000, "vae": 2_500_000, "text_encoder": 2_300_000, "": 20_000_000}


@dataclass
class Parts:
    """Everything in a pipeline directory, in full precision, and the record of how it came about."""

    model: Denoiser
    vae: Any
    tokenizer: CLIPTokenizer
    record: dict[str, Any]


def export_pipeline(folder: Path, parts: Parts, config: DiffusionConfig) -> dict[str, int]:
    """Write the directory atomically; the answer is its sizes in bytes, which are checked against the budget."""
    halves = [_half_copy(module) for module in (parts.vae, parts.model.text, parts.model.unet)]
    pipeline = StableDiffusionPipeline(
        vae=halves[0],
        text_encoder=halves[1],
        tokenizer=parts.tokenizer,
        unet=halves[2],
        scheduler=build_scheduler(config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )

    def write(target: Path) -> None:
        pipeline.save_pretrained(target, safe_serialization=True)
        _tidy(target)
        (target / RECORD).write_text(json.dumps(parts.record, indent=2, sort_keys=True) + "\n")
        check_sizes(target)

    write_atomically(folder, write)
    return check_sizes(folder)


def check_sizes(folder: Path) -> dict[str, int]:
    """Bytes per part; a directory over its budget is refused."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path.name} has {path.stat().st_size} bytes, more than {LARGEST_FILE}")
    sizes = {part: sum(path.stat().st_size for path in files if not part or path.is_relative_to(folder / part)) for part in BUDGET}
    for part, size in sizes.items():
        if size > BUDGET[part]:
            raise ValueError(f"{part or 'the whole directory'} has {size} bytes, the budget is {BUDGET[part]}")
    return sizes


def load_pipeline(folder: Path) -> Parts:
    """Read a pipeline directory in full precision, from disk only."""
    options = {"local_files_only": True, "use_safetensors": True, "torch_dtype": torch.float32}
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **options)
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", **options)
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True, use_safetensors=True, dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    record = read_json(folder / RECORD) if (folder / RECORD).exists() else {}
    return Parts(Denoiser(unet.eval(), text.eval()), vae.eval(), tokenizer, record)


def _half_copy(module: Any) -> Any:
    """The same network in half precision, the original untouched."""
    copy = type(module)(module.config) if isinstance(module, CLIPTextModel) else type(module).from_config(module.config)
    copy.load_state_dict(module.state_dict())
    return copy.half().eval()


def _tidy(folder: Path) -> None:
    """Forget where on this machine the parts came from, and let the text encoder be read in full precision like the others."""
    for path in folder.rglob("*.json"):
        values = read_json(path)
        if isinstance(values, dict) and ("_name_or_path" in values or "dtype" in values):
            values.pop("_name_or_path", None)
            if "dtype" in values:
                values["dtype"] = "float32"
            path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
