"""The model as transformers knows it: a `CLIPModel` directory with its own vocabulary, in half precision on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from gesso.media.preparing import MEAN, STD
from gesso.training.ema import Trained
from gesso.training.files import read_json, write_atomically
from gesso_plugins.clip.config import ModelConfig

RECORD = "training.json"
BUDGET = 5_000_000

Images = npt.NDArray[np.uint8]


@dataclass
class Clip(Trained):
    """Both towers in one network, with the vocabulary that its words go through."""

    network: Any
    tokenizer: CLIPTokenizer

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor."""
        return {name: value.detach() for name, value in self.network.named_parameters()}

    def embed_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels (N, 3, S, S) to unit vectors (N, D)."""
        pooled = self.network.vision_model(pixel_values=pixels).pooler_output
        return functional.normalize(self.network.visual_projection(pooled), dim=-1)

    def embed_texts(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (N, L) to unit vectors (N, D)."""
        pooled = self.network.text_model(input_ids=ids).pooler_output
        return functional.normalize(self.network.text_projection(pooled), dim=-1)


def build_network(config: ModelConfig, tokenizer: CLIPTokenizer) -> Any:
    """An untrained network of the recipe's size."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.text.width,
        intermediate_size=4 * config.text.width,
        projection_dim=config.projection,
        num_hidden_layers=config.text.layers,
        num_attention_heads=config.text.heads,
        max_position_embeddings=config.length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=config.vision.width,
        intermediate_size=4 * config.vision.width,
        projection_dim=config.projection,
        num_hidden_layers=config.vision.layers,
        num_attention_heads=config.vision.heads,
        image_size=config.image,
        patch_size=config.patch,
    )
    both = CLIPConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=config.projection,
        logit_scale_init_value=float(np.log(1 / config.temperature)),
    )
    return CLIPModel(both)


def to_pixels(images: Images) -> torch.Tensor:
    """Bytes (N, S, S, 3) to the network's input (N, 3, S, S)."""
    values = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(255)
    return values.sub_(torch.tensor(MEAN)[:, None, None]).div_(torch.tensor(STD)[:, None, None])


def export(folder: Path, clip: Clip, record: dict[str, Any]) -> int:
    """Write the directory atomically in half precision; the answer is its size in bytes, checked against the budget."""
    half = CLIPModel(clip.network.config)
    half.load_state_dict(clip.network.state_dict())

    def write(target: Path) -> None:
        half.half().save_pretrained(target, safe_serialization=True)
        clip.tokenizer.save_pretrained(target)
        size = clip.network.config.vision_config.image_size
        preprocessor = {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": True,
            "do_center_crop": False,
            "do_rescale": True,
            "do_normalize": True,
            "do_convert_rgb": True,
            "resample": 3,
            "size": {"height": size, "width": size},
            "image_mean": list(MEAN),
            "image_std": list(STD),
        }
        (target / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2, sort_keys=True) + "\n")
        (target / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")

    write_atomically(folder, write)
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if total > BUDGET:
        raise ValueError(f"{folder} has {total} bytes; at most {BUDGET} may ship: choose narrower towers")
    return total


def load(folder: Path) -> tuple[Clip, dict[str, Any]]:
    """Read a directory in full precision, with the record of its training."""
    network = CLIPModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    record = read_json(folder / RECORD) if (folder / RECORD).exists() else {}
    return Clip(network, CLIPTokenizer.from_pretrained(folder, local_files_only=True)), record
