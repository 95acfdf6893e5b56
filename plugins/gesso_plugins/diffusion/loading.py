"""Builds networks from a configuration and safetensors files: no initialisation is spent, and every weight must fit."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso_plugins.diffusion.files import AGAIN

if TYPE_CHECKING:
    from gesso_plugins.diffusion.source import Source

_NOT_SETTINGS = ("architectures", "model_type", "transformers_version", "torch_dtype", "dtype")
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""How diffusers named the autoencoder's attention before 0.15; many checkpoints still do."""


@dataclass(frozen=True)
class Place:
    """Where weights go, and the number format that they take there."""

    device: torch.device
    dtype: torch.dtype


def places(on: torch.device) -> tuple[Place, Place]:
    """Full precision, and what a denoiser takes: half of it on an accelerator."""
    return Place(on, torch.float32), Place(on, torch.float16 if on.type == "cuda" else torch.float32)


def unet(source: Source, place: Place) -> nn.Module:
    """The denoising network of Stable Diffusion."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return diffusers_network(UNet2DConditionModel, source, "unet", place)


def autoencoder(source: Source, place: Place) -> nn.Module:
    """The picture codec."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return diffusers_network(AutoencoderKL, source, "vae", place)


def clip_text(source: Source, component: str, place: Place) -> nn.Module:
    """CLIP's text encoder."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    module = _transformers_network(CLIPTextModel, CLIPTextConfig, source, component)
    weights = {key.removeprefix("text_model."): value for key, value in _read(source, component, place).items()}
    weights.pop("embeddings.position_ids", None)
    _assign(module, weights, source, component)
    positions = torch.arange(module.config.max_position_embeddings)[None].to(place.device)
    module.embeddings.position_ids = positions  # a buffer that no file carries
    return _ready(module)


def clip_tokenizer(source: Source, component: str) -> Any:
    """CLIP's tokenizer, from its vocabulary files only."""
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    folder = source.vocabulary(component)
    try:
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise ModelError(f"The tokenizer in {folder} cannot be read: {fault}.", hint=AGAIN) from fault


def diffusers_network(kind: Any, source: Source, component: str, place: Place) -> nn.Module:
    """A network of diffusers, with its weights in place."""
    settings = {key: value for key, value in source.settings(component).items() if not key.startswith("_")}
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # old configurations carry names that diffusers translates
            module: nn.Module = kind.from_config(settings)
    except (TypeError, ValueError, RuntimeError, KeyError) as fault:
        raise _unfit(source, component, fault) from fault
    _assign(module, _renamed(_read(source, component, place)), source, component)
    return _ready(module)


def _transformers_network(kind: Any, settings_kind: Any, source: Source, component: str) -> Any:
    """A network of transformers without weights."""
    kept = {key: value for key, value in source.settings(component).items() if key not in _NOT_SETTINGS}
    try:
        with torch.device("meta"):
            return kind(settings_kind(**kept))
    except (TypeError, ValueError, RuntimeError) as fault:
        raise _unfit(source, component, fault) from fault


def _read(source: Source, component: str, place: Place) -> dict[str, Tensor]:
    """All tensors of a component, where they belong."""
    return {key: _own(value, place) for key, value in source.tensors(component, place.device).items()}


def _own(value: Tensor, place: Place) -> Tensor:
    """A copy in memory of our own: what safetensors gives on the CPU is the file itself, and would change or vanish with it."""
    dtype = place.dtype if value.is_floating_point() else value.dtype
    return value.to(dtype, copy=value.device.type == "cpu")


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for key, value in weights.items():
        head, _, leaf = key.rpartition(".")
        block, _, part = head.rpartition(".")
        if ".attentions." in key and part in _OLD_ATTENTION:
            renamed[f"{block}.{_OLD_ATTENTION[part]}.{leaf}"] = value.reshape(value.shape[:2]) if value.dim() == 4 else value
        else:
            renamed[key] = value
    return renamed


def _assign(module: nn.Module, weights: Mapping[str, Tensor], source: Source, component: str) -> None:
    """Put the tensors in; none may be missing, left over or of another shape."""
    try:
        missing, left_over = module.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError as fault:
        raise _unfit(source, component, fault) from fault
    if missing or left_over:
        names = _some(missing) if missing else _some(left_over)
        what = "lack" if missing else "hold more than it asks for:"
        raise ModelError(f"The weights of the {component} in {source.path} do not fit its configuration: they {what} {names}.", hint=AGAIN)


def _ready(module: nn.Module) -> nn.Module:
    unread = [name for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()) if tensor.is_meta]
    if unread:
        raise ModelError(f"The network {type(module).__name__} needs {_some(unread)}, which no weight file carries.")
    return module.eval().requires_grad_(False)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _unfit(source: Source, component: str, fault: BaseException) -> ModelError:
    text = " ".join(str(fault).split())[:300]
    return ModelError(f"The {component} in {source.path} cannot be built from its configuration: {text}.", hint=AGAIN)
