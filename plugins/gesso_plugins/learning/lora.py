"""The file that a LoRA is kept in: what it holds beside the factors, for people and for other programs. It registers nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from safetensors.torch import save
from torch import Tensor

from gesso.model import ModelCard
from gesso_plugins.learning.recipe import Recipe

ARCHITECTURES = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2-768-v",
    "sdxl": "stable-diffusion-xl-v1-base",
    "flux1": "flux-1-dev",
}
"""As the Stability AI model specification 1.0 names them."""


@dataclass(frozen=True)
class About:
    """What a LoRA was learned from. words: those that call it up. job: a name of everything that decided its bytes."""

    title: str
    words: str
    base: ModelCard
    recipe: Recipe
    steps: int
    pictures: int
    job: str

    def metadata(self) -> dict[str, str]:
        """For the file's header, all of it text; equal facts give equal bytes."""
        base, recipe = self.base, self.recipe
        gesso: dict[str, Any] = {
            "base": {"name": base.name, "digest": base.digest},
            "job": self.job,
            "pictures": self.pictures,
            "recipe": recipe.as_json(),
            "steps": self.steps,
            "words": self.words,
        }
        architecture = ARCHITECTURES.get(base.base)
        return {
            "format": "pt",
            "gesso": json.dumps(gesso, sort_keys=True),
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.title": self.title,
            "modelspec.trigger_phrase": self.words,
            "ss_base_model_version": base.base,
            "ss_network_alpha": f"{recipe.alpha:g}",
            "ss_network_dim": str(recipe.rank),
            "ss_network_module": "networks.lora",
            "ss_sd_model_name": base.name,
            "ss_steps": str(self.steps),
        } | ({} if architecture is None else {"modelspec.architecture": f"{architecture}/lora"})


def lora_file(tensors: dict[str, Tensor], about: About) -> bytes:
    """The safetensors file. Its header is written here, in order: the library puts metadata in another order each time, and equal LoRAs are
    to have equal bytes.
    """
    content: bytes = save(tensors)
    end = 8 + int.from_bytes(content[:8], "little")
    header = {"__metadata__": about.metadata(), **dict(sorted(json.loads(content[8:end]).items()))}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]
