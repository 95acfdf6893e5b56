"""Builds networks from a configuration and safetensors files: no initialisation is spent, and every weight must fit."""

from __future__ import annotations

import importlib
import itertools
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso.model.seamless import ZERO_PADDED
from gesso_plugins.diffusion.files import AGAIN

if TYPE_CHECKING:
    from gesso_plugins.diffusion.source import Networks, Source

_OF_FILES = ("architectures", "model_type", "transformers_version", "torch_dtype", "dtype")
_NOT_SETTINGS = ("vision_config", *_OF_FILES)
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


def wide_half(on: torch.device) -> Place:
    """Half precision with the range of the full one, which transformers need: on an accelerator only."""
    return Place(on, torch.bfloat16 if on.type == "cuda" else torch.float32)


def unet(source: Source, place: Place) -> nn.Module:
    """The denoising network of Stable Diffusion."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return diffusers_network(UNet2DConditionModel, source, "unet", place)


def autoencoder(source: Networks, place: Place) -> nn.Module:
    """The picture codec."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return diffusers_network(AutoencoderKL, source, "vae", place)


def tiny_autoencoder(source: Networks, place: Place) -> nn.Module:
    """The picture codec that is distilled from another (TAESD)."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    return diffusers_network(AutoencoderTiny, source, "vae", place)


def clip_text(source: Source, component: str, place: Place, *, projected: bool = False) -> nn.Module:
    """CLIP's text encoder, with or without the projection into the space that it shares with pictures."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

    module = transformers_network(CLIPTextModelWithProjection if projected else CLIPTextModel, CLIPTextConfig, source, component)
    inner, prefix = (module.text_model, "text_model.") if projected else (module, "")
    weights = _read(source, component, place)
    bare = {key.removeprefix("text_model."): value for key, value in weights.items()}
    bare.pop("embeddings.position_ids", None)
    named = {key if key.startswith("text_projection.") else prefix + key: value for key, value in bare.items()}
    _assign(module, named, source, component)
    positions = torch.arange(module.config.max_position_embeddings)[None].to(place.device)
    inner.embeddings.position_ids = positions  # a buffer that no file carries
    return _ready(module)


def t5_encoder(source: Source, component: str, place: Place) -> nn.Module:
    """The encoder of T5. Its embedding lies in the file under one of two names, or under both."""
    from transformers.models.t5.configuration_t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5EncoderModel

    module = transformers_network(T5EncoderModel, T5Config, source, component)
    weights = _read(source, component, place)
    shared = weights.get("shared.weight", weights.get("encoder.embed_tokens.weight"))
    if shared is not None:
        weights["shared.weight"] = weights["encoder.embed_tokens.weight"] = shared
    _assign(module, weights, source, component)
    return _ready(module)


def qwen3(source: Source, component: str, place: Place) -> nn.Module:
    """The language model Qwen 3 without its head, whether the file was saved with or without it."""
    from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
    from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

    module = transformers_network(Qwen3Model, Qwen3Config, source, component)
    weights = {key.removeprefix("model."): value for key, value in _read(source, component, place).items() if key != "lm_head.weight"}
    _assign(module, weights, source, component)
    _recompute(module, place.device)
    return _ready(module)


def qwen_vl_text(source: Source, component: str, place: Place) -> nn.Module:
    """The language model of Qwen 2.5 VL."""
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

    return _without_eyes(transformers_network(Qwen2_5_VLTextModel, Qwen2_5_VLTextConfig, source, component), source, component, place)


def mistral3_text(source: Source, component: str, place: Place) -> nn.Module:
    """The language model of Mistral 3."""
    from transformers.models.mistral.configuration_mistral import MistralConfig
    from transformers.models.mistral.modeling_mistral import MistralModel

    return _without_eyes(transformers_network(MistralModel, MistralConfig, source, component), source, component, place)


_EYES_AND_HEAD = ("visual.", "vision_tower.", "multi_modal_projector.", "lm_head.")


def _without_eyes(module: nn.Module, source: Source, component: str, place: Place) -> nn.Module:
    """A language model with the weights of one that also sees, without eyes and head; old and new files name its weights otherwise."""
    weights = {}
    for key, value in _read(source, component, place).items():
        bare = re.sub(r"^(model\.language_model\.|language_model\.model\.|language_model\.|model\.)", "", key)
        if not bare.startswith(_EYES_AND_HEAD):
            weights[bare] = value
    _assign(module, weights, source, component)
    _recompute(module, place.device)
    return _ready(module)


def qwen_vl(source: Source, component: str, place: Place) -> nn.Module:
    """Qwen 2.5 VL with its eyes and without its head."""
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

    settings = {key: value for key, value in source.settings(component).items() if key not in _OF_FILES}
    try:
        with torch.device("meta"):
            module = Qwen2_5_VLModel(Qwen2_5_VLConfig(**settings))
    except (TypeError, ValueError, RuntimeError) as fault:
        raise _unfit(source, component, fault) from fault
    weights = {}
    for key, value in _read(source, component, place).items():
        bare = re.sub(r"^(model\.language_model\.|language_model\.model\.|language_model\.|model\.(?!visual\.))", "language_model.", key)
        if not bare.startswith("lm_head."):
            weights[bare.removeprefix("model.")] = value
    _assign(module, weights, source, component)
    _recompute(module, place.device)
    return _ready(module)


def _recompute(module: nn.Module, device: torch.device) -> None:
    """Buffers that no file carries, off the meta device: rotary embeddings are built once more, positions of patches computed again."""
    from diffusers.models.embeddings import PatchEmbed, get_2d_sincos_pos_embed

    for name, part in list(module.named_modules()):
        if not any(buffer.is_meta for buffer in part.buffers(recurse=False)):
            continue
        if isinstance(part, PatchEmbed):
            scale = {"base_size": part.base_size, "interpolation_scale": part.interpolation_scale}
            places = get_2d_sincos_pos_embed(part.proj.out_channels, part.height, **scale, output_type="pt")
            part.pos_embed = places.float()[None].to(device)
        elif hasattr(part, "config"):
            module.set_submodule(name, type(part)(config=part.config).to(device))


def tokenizer(kind: str, source: Source, component: str) -> Any:
    """A tokenizer of transformers by the name of its class, from its vocabulary files only."""
    kinds = {
        "CLIPTokenizer": "models.clip.tokenization_clip",
        "T5Tokenizer": "models.t5.tokenization_t5",
        "Qwen2Tokenizer": "models.qwen2.tokenization_qwen2",
        "PreTrainedTokenizerFast": "tokenization_utils_tokenizers",
    }
    folder = source.vocabulary(component)
    try:
        found = getattr(importlib.import_module(f"transformers.{kinds[kind]}"), kind)
        return found.from_pretrained(str(folder), local_files_only=True, **source.token_settings(component))
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise ModelError(f"The tokenizer in {folder} cannot be read: {fault}.", hint=AGAIN) from fault


def diffusers_network(kind: Any, source: Networks, component: str, place: Place) -> nn.Module:
    """A network of diffusers, with its weights in place."""
    settings = {key: value for key, value in source.settings(component).items() if not key.startswith("_")}
    kept = settings.pop(ZERO_PADDED, None)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # old configurations carry names that diffusers translates
            module: Any = kind.from_config(settings)
    except (TypeError, ValueError, RuntimeError, KeyError) as fault:
        raise _unfit(source, component, fault) from fault
    _assign(module, _renamed(_read(source, component, place)), source, component)
    _recompute(module, place.device)
    if kept is not None:  # a key of ours, of which diffusers would warn
        module.register_to_config(**{ZERO_PADDED: kept})
    return _ready(module)


def transformers_network(kind: Any, settings_kind: Any, source: Source, component: str) -> Any:
    """A network of transformers without weights."""
    settings = source.settings(component)
    kept = {key: value for key, value in (settings.get("text_config") or settings).items() if key not in _NOT_SETTINGS}
    try:
        with torch.device("meta"):
            return kind(settings_kind(**kept))
    except (TypeError, ValueError, RuntimeError) as fault:
        raise _unfit(source, component, fault) from fault


def _read(source: Networks, component: str, place: Place) -> dict[str, Tensor]:
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


def _assign(module: nn.Module, weights: Mapping[str, Tensor], source: Networks, component: str) -> None:
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


def _unfit(source: Networks, component: str, fault: BaseException) -> ModelError:
    text = " ".join(str(fault).split())[:300]
    return ModelError(f"The {component} in {source.path} cannot be built from its configuration: {text}.", hint=AGAIN)
