"""A checkpoint of SD 3 or Flux.1 in its authors' layout, as a `Source`: one file with everything, or the transformer's file with the other
parts near it, as artists keep them. Settings are read off shapes; nothing is fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gesso.errors import ModelError
from gesso.model import Size
from gesso_plugins.diffusion import original_settings, transformer_names
from gesso_plugins.diffusion.files import file_digest, read_header
from gesso_plugins.diffusion.original_names import codec_names
from gesso_plugins.diffusion.single_file import VOCABULARY, flat_attention, renamed
from gesso_plugins.diffusion.source import T5_HINT, Part, size_of

_ROLES = {"clip_l": "CLIP-L", "clip_g": "CLIP-G", "t5": "T5-XXL", "vae": "the autoencoder"}
_PREFIXES = {
    "clip_l": ("text_encoders.clip_l.transformer.",),
    "clip_g": ("text_encoders.clip_g.transformer.",),
    "t5": ("text_encoders.t5xxl.transformer.",),
    "vae": ("first_stage_model.", "vae."),
}
_PROBES = {
    "clip_l": "text_model.embeddings.token_embedding.weight",
    "clip_g": "text_model.embeddings.token_embedding.weight",
    "t5": "encoder.block.0.layer.0.SelfAttention.q.weight",
    "vae": "decoder.up.0.block.0.conv1.weight",
}
_NEAR = (".", "../vae", "../clip", "../text_encoders", "../VAE", "../text_encoder")
"""Where the other parts of a model are looked for, seen from the transformer's folder: ComfyUI's and Forge's folders."""
T5_VOCABULARY = "t5_tokenizer"
"""A folder beside the file: the vocabulary of T5 is in no checkpoint."""


@dataclass(frozen=True)
class Form:
    """One family's layout. ``roles``: which part is which component in diffusers; ``optional`` parts may be missing."""

    pipeline: str
    probe: str
    roles: Mapping[str, str]
    settings: Callable[[original_settings.Shapes], dict[str, Any]]
    weights: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    scale: float
    shift: float
    packed: int = 1
    optional: frozenset[str] = frozenset()


FLUX = Form(
    pipeline="FluxPipeline",
    probe="double_blocks.0.img_attn.qkv.weight",
    roles={"text_encoder": "clip_l", "text_encoder_2": "t5", "vae": "vae"},
    settings=transformer_names.flux_settings,
    weights=transformer_names.flux_weights,
    scale=0.3611,
    shift=0.1159,
    packed=4,
)
SD3 = Form(
    pipeline="StableDiffusion3Pipeline",
    probe="joint_blocks.0.context_block.attn.qkv.weight",
    roles={"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5", "vae": "vae"},
    settings=transformer_names.sd3_settings,
    weights=transformer_names.sd3_weights,
    scale=1.5305,
    shift=0.0609,
    optional=frozenset({"t5"}),
)


class TransformerFile:
    """The file, and the parts found in it or near it."""

    def __init__(self, path: Path, form: Form) -> None:
        self._path = path
        self._form = form
        self._transformer = self._own(("model.diffusion_model.", ""), form.probe)
        if self._transformer is None:
            raise ModelError(f"{path} is no checkpoint of this family.", hint="`gesso models info` says what a file is.")
        self._wanted = form.settings(self._transformer.shapes())
        near = [other for folder in _NEAR for other in sorted((path.parent / folder).glob("*.safetensors")) if other != path]
        self._parts: dict[str, Part] = {}
        for component, role in form.roles.items():
            part = self._own(_PREFIXES[role], _PROBES[role]) or next(filter(None, (self._fits(other, role) for other in near)), None)
            if part is not None and not (role == "t5" and role in form.optional and not self._t5_vocabulary):
                self._parts[component] = part
            elif role not in form.optional:
                raise ModelError(
                    f"{path} comes without {_ROLES[role]}.",
                    hint="Put that part's safetensors file beside it, or into a folder `vae` or `text_encoders` beside its own folder.",
                )

    def _own(self, prefixes: tuple[str, ...], probe: str) -> Part | None:
        keys = read_header(self._path)
        return next((Part(self._path, prefix) for prefix in prefixes if prefix + probe in keys), None)

    def _fits(self, path: Path, role: str) -> Part | None:
        """A file near this one, if it holds a part of this role in the size that the transformer takes."""
        try:
            shapes = Part(path).shapes()
        except ModelError:
            return None  # some other file that is not sound; it is not this model's
        if _PROBES[role] not in shapes:
            return None
        channels, pooled = self._wanted["in_channels"] // self._form.packed, self._wanted["pooled_projection_dim"]
        match role:
            case "vae":
                fits = shapes["decoder.conv_in.weight"][1] == channels
            case "t5":
                fits = shapes[_PROBES[role]][1] == self._wanted["joint_attention_dim"]
            case _:
                width = shapes[_PROBES[role]][1]
                alone = "text_encoder_2" not in self._form.roles or self._form.roles["text_encoder_2"] != "clip_g"
                fits = width == pooled if alone else (width < pooled / 2) == (role == "clip_l")
        return Part(path) if fits else None

    @property
    def path(self) -> Path:
        """The transformer's file."""
        return self._path

    @property
    def index(self) -> Mapping[str, Any]:
        """As a directory of this form would have it."""
        return {"_class_name": self._form.pipeline}

    def has(self, component: str) -> bool:
        """Whether it was found; every text encoder has its tokenizer."""
        return component == "transformer" or component.replace("tokenizer", "text_encoder") in self._parts

    def settings(self, component: str) -> dict[str, Any]:
        """Read off shapes."""
        if component == "transformer":
            return self._wanted
        if component == "scheduler":
            return self._schedule()
        shapes = self._parts[component].shapes()
        match self._form.roles[component]:
            case "vae":
                return original_settings.codec_settings(shapes, self._form.scale) | {"shift_factor": self._form.shift}
            case "t5":
                return transformer_names.t5_settings(shapes)
            case role:
                bare = {key.removeprefix("text_model."): shape for key, shape in shapes.items()}
                width = bare["embeddings.token_embedding.weight"][1]
                return original_settings.clip_settings(bare) | {
                    "projection_dim": shapes.get("text_projection.weight", (width,))[0],
                    "hidden_act": "gelu" if role == "clip_g" else "quick_gelu",
                }

    def _schedule(self) -> dict[str, Any]:
        """SD 3 is shifted by 3; Flux.1 dev moves with the size, schnell stands still."""
        if self._form is SD3:
            return {"shift": 3.0}
        return {"use_dynamic_shifting": True} if self._wanted["guidance_embeds"] else {"shift": 1.0}

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:
        """One network's weights, renamed."""
        if component == "transformer":
            assert self._transformer is not None
            return self._form.weights(self._transformer.read(device))
        part = self._parts[component]
        read = part.read(device)
        match self._form.roles[component]:
            case "vae":
                return flat_attention(renamed(read, codec_names(*original_settings.codec_levels(part.shapes()))))
            case "t5":
                return {key: value for key, value in read.items() if key == "shared.weight" or key.startswith("encoder.")}
            case _:
                projection = read.pop("text_projection.weight", None)
                kept = {key: value for key, value in read.items() if key.startswith("text_model.")}
                if self._projects:
                    width = kept["text_model.final_layer_norm.weight"].shape[0]
                    kept["text_projection.weight"] = torch.eye(width, device=device) if projection is None else projection
                return kept

    @property
    def _projects(self) -> bool:
        """Flux takes what CLIP says before the projection; SD 3 after it, which is the identity where the file has none."""
        return self._form is SD3

    def vocabulary(self, component: str) -> Path:
        """CLIP's comes with Gesso; T5's must lie beside the file."""
        if self._form.roles[component.replace("tokenizer", "text_encoder")] != "t5":
            return VOCABULARY
        if self._t5_vocabulary is None:
            raise ModelError(
                f"{self._path} comes without the vocabulary of T5, which no checkpoint carries.",
                hint=f"Put a tokenizer.json of T5 into a folder `{T5_VOCABULARY}` beside it. {T5_HINT}",
            )
        return self._t5_vocabulary

    @property
    def _t5_vocabulary(self) -> Path | None:
        folder = self._path.parent / T5_VOCABULARY
        return folder if (folder / "tokenizer.json").is_file() else None

    def token_settings(self, component: str) -> Mapping[str, str]:
        """OpenCLIP pads with the token of number 0."""
        return {"pad_token": "!"} if self._form.roles.get(component.replace("tokenizer", "text_encoder")) == "clip_g" else {}

    def weights(self, components: tuple[str, ...]) -> list[Path]:  # noqa: ARG002  (all parts belong together)
        """The file, and those of its parts that lie near it."""
        return list(dict.fromkeys((self._path, *(part.path for part in self._parts.values()))))

    def size(self, component: str) -> Size:
        """Of the part, wherever it lies."""
        part = self._transformer if component == "transformer" else self._parts[component]
        assert part is not None
        return size_of(part.shapes())

    def digest(self, weights: list[Path], components: tuple[str, ...]) -> str:  # noqa: ARG002  (all parts belong together)
        """SHA-256 of the one file, as the peers compute it, or over those of all files."""
        if len(weights) == 1:
            return file_digest(weights[0])
        return hashlib.sha256("\n".join(map(file_digest, weights)).encode()).hexdigest()
