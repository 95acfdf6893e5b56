"""A checkpoint of Stable Diffusion in one ``.safetensors`` file of the original layout, as a `Source`. Settings and vocabulary are our
own: nothing is fetched, and nothing beside the file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gesso.errors import ModelError
from gesso.model import Size
from gesso_plugins.diffusion import original_settings as settings_of
from gesso_plugins.diffusion.files import file_digest, read_header
from gesso_plugins.diffusion.original_names import Names, codec_names, open_clip_names, unet_names
from gesso_plugins.diffusion.source import read_keys, size_of

UNET, CODEC = "model.diffusion_model.", "first_stage_model."
VOCABULARY = Path(__file__).parent / "clip_vocabulary"
_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
_V_BIAS = "output_blocks.11.1.transformer_blocks.0.norm1.bias"


@dataclass(frozen=True)
class Form:
    """One original layout. ``encoders``: component -> its prefix in the file; one under OpenCLIP's names if it holds ``ln_final``."""

    family: str
    pipeline: str
    encoders: Mapping[str, str]
    sample_size: int
    scaling_factor: float
    drop_last: bool = False
    zeros: bool = False

    def fits(self, keys: frozenset[str]) -> bool:
        """Whether a file has the parts of this layout."""
        return all(any(prefix + end in keys for end in _ENDS) for prefix in self.encoders.values())


_ENDS = ("ln_final.weight", "text_model.final_layer_norm.weight", "final_layer_norm.weight")
_XL = "stable-diffusion-xl"
_CLIP_L, _OPEN_CLIP_G = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
FORMS = (
    Form(_XL, "StableDiffusionXLPipeline", {"text_encoder": _CLIP_L, "text_encoder_2": _OPEN_CLIP_G}, 128, 0.13025, zeros=True),
    Form(_XL, "StableDiffusionXLImg2ImgPipeline", {"text_encoder_2": "conditioner.embedders.0.model."}, 128, 0.13025),
    Form("stable-diffusion", "StableDiffusionPipeline", {"text_encoder": "cond_stage_model.model."}, 96, 0.18215, drop_last=True),
    Form("stable-diffusion", "StableDiffusionPipeline", {"text_encoder": "cond_stage_model.transformer."}, 64, 0.18215),
)


class SingleFile:
    """One file. Raises ModelError where it is no checkpoint of Stable Diffusion, or lacks a part of one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header = read_header(path)
        self._keys = frozenset(self._header)
        self.form = self._recognised()
        self._prefixes = {"unet": UNET, "vae": CODEC, **self.form.encoders}

    def _recognised(self) -> Form:
        form = next((form for form in FORMS if form.fits(self._keys)), None)
        unet, codec = UNET + "input_blocks.0.0.weight" in self._keys, CODEC + "decoder.conv_in.weight" in self._keys
        if form is not None and unet and codec:
            return form
        if not unet:
            raise ModelError(f"{self._path} is no checkpoint of Stable Diffusion.", hint="`gesso models info` says what a file is.")
        what = "text encoder" if form is None else "autoencoder"
        raise ModelError(f"{self._path} lacks the {what}.", hint="Get the complete checkpoint of the model, not one of its parts.")

    def of(self, family: str) -> SingleFile:
        """The same, if it is of this family."""
        if self.form.family != family:
            raise ModelError(
                f"{self._path} is a checkpoint of the family {self.form.family!r}, not of {family!r}.",
                hint="Add the model under its own family.",
            )
        return self

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def index(self) -> Mapping[str, Any]:
        """As a directory of this form would have it."""
        return {"_class_name": self.form.pipeline, "force_zeros_for_empty_prompt": self.form.zeros}

    def has(self, component: str) -> bool:
        """Whether the file holds it; every text encoder has its tokenizer."""
        return component.replace("tokenizer", "text_encoder") in self._prefixes

    def settings(self, component: str) -> dict[str, Any]:
        """Read off shapes."""
        if component == "scheduler":
            return self._schedule()
        shapes = self._shapes(component)
        if component == "unet":
            return settings_of.unet_settings(shapes, self.form.sample_size)
        if component == "vae":
            return settings_of.codec_settings(shapes, self.form.scaling_factor)
        if self._is_open_clip(component):
            return settings_of.open_clip_settings(shapes, self._open_clip_layers(shapes))
        return settings_of.clip_settings({key.removeprefix("text_model."): shape for key, shape in shapes.items()})

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:
        """One network's part of the file, renamed."""
        prefix = self._prefixes[component]
        read = self._read([key for key in self._header if key.startswith(prefix)], device)
        bare = {key.removeprefix(prefix): value for key, value in read.items()}
        shapes = self._shapes(component)
        if component == "unet":
            return renamed(bare, unet_names(settings_of.unet_shape(shapes)))
        if component == "vae":
            return flat_attention(renamed(bare, codec_names(*settings_of.codec_levels(shapes))))
        if self._is_open_clip(component):
            return _from_open_clip(bare, self._open_clip_layers(shapes), projected=component != "text_encoder")
        return bare

    def vocabulary(self, component: str) -> Path:  # noqa: ARG002  (a file is one whole)
        """CLIP's, which comes with Gesso."""
        return VOCABULARY

    def token_settings(self, component: str) -> Mapping[str, str]:
        """OpenCLIP pads with the token of number 0."""
        return {"pad_token": "!"} if self._is_open_clip(component.replace("tokenizer", "text_encoder")) else {}

    def weights(self, components: tuple[str, ...]) -> list[Path]:  # noqa: ARG002  (a file is one whole)
        """The file."""
        return [self._path]

    def size(self, component: str) -> Size:
        """Of its part of the file."""
        return size_of(self._shapes(component))

    def digest(self, weights: list[Path], components: tuple[str, ...]) -> str:  # noqa: ARG002  (a file is one whole)
        """SHA-256 of the file, as the peers compute it too."""
        return file_digest(self._path)

    def _is_open_clip(self, component: str) -> bool:
        return self.form.encoders.get(component, "") + "ln_final.weight" in self._keys

    def _open_clip_layers(self, shapes: settings_of.Shapes) -> int:
        return settings_of.open_clip_layers(shapes) - (1 if self.form.drop_last else 0)

    def _shapes(self, component: str) -> dict[str, tuple[int, ...]]:
        prefix = self._prefixes[component]
        return {key.removeprefix(prefix): shape for key, (_, shape) in self._header.items() if key.startswith(prefix)}

    def _schedule(self) -> dict[str, Any]:
        """Eps or v: a file may say v with an empty tensor; among SD 2.x v is told by a bias that only its training drove so far."""
        marked = "v_pred" in self._keys
        told = UNET + _V_BIAS if self.form.drop_last else ""
        wide = told in self._keys and float(self._read([told], torch.device("cpu"))[told].float().std(unbiased=False)) > 0.09
        prediction = "v_prediction" if marked or wide else "epsilon"
        return {**_SCHEDULE, "prediction_type": prediction, "rescale_betas_zero_snr": "ztsnr" in self._keys}

    def _read(self, keys: list[str], device: torch.device) -> dict[str, Tensor]:
        return read_keys(self._path, keys, device)


def renamed(weights: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Under the names of diffusers; what has none (averages of the training, counters) is left out."""
    return {new: value for key, value in weights.items() if (new := names.renamed(key)) is not None}


def flat_attention(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The autoencoder's attention was made of convolutions of one pixel."""
    return {key: value.flatten(1) if ".attentions." in key and value.dim() == 4 else value for key, value in weights.items()}


def _from_open_clip(weights: Mapping[str, Tensor], layers: int, *, projected: bool) -> dict[str, Tensor]:
    found = renamed(weights, open_clip_names(layers))
    for layer in range(layers):
        for leaf in ("weight", "bias"):
            fused = weights.get(f"transformer.resblocks.{layer}.attn.in_proj_{leaf}")
            if fused is None:
                continue
            for name, part in zip("qkv", fused.chunk(3), strict=True):
                found[f"text_model.encoder.layers.{layer}.self_attn.{name}_proj.{leaf}"] = part
    if projected and "text_projection" in weights:
        found["text_projection.weight"] = weights["text_projection"].T.contiguous()
    return found
