"""The family `stable-diffusion`: recognises, describes and loads a diffusers `StableDiffusionPipeline` directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import ModelError
from gesso.manifest import ModelEntry
from gesso.model import Defaults, Latent, Limits, ModelCard
from gesso_plugins.diffusion.border import parametrisation_of
from gesso_plugins.diffusion.files import digest, read_header, read_json, weight_files
from gesso_plugins.diffusion.perturbing import layers_of

if TYPE_CHECKING:
    import torch

    from gesso_plugins.diffusion.stable_diffusion import StableDiffusionModel

PIPELINES = frozenset({"StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"})
COMPONENTS: Mapping[str, frozenset[tuple[str, str]]] = {
    "tokenizer": frozenset({("transformers", "CLIPTokenizer"), ("transformers", "CLIPTokenizerFast")}),
    "text_encoder": frozenset({("transformers", "CLIPTextModel")}),
    "unet": frozenset({("diffusers", "UNet2DConditionModel")}),
    "vae": frozenset({("diffusers", "AutoencoderKL")}),
}
"""The classes that a component may have. Whatever else a directory names is not opened."""
NETWORKS = ("text_encoder", "unet", "vae")


class StableDiffusionFamily:
    """SD 1.x and 2.x: one CLIP encoder, one UNet, one autoencoder; eps, v or x0."""

    name = "stable-diffusion"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files and safetensors headers. Raises ModelError with the fix."""
        root = _directory(entry)
        check_index(root, read_json(root / "model_index.json"))
        unet, vae = read_json(root / "unet" / "config.json"), read_json(root / "vae" / "config.json")
        scheduler = read_json(root / "scheduler" / "scheduler_config.json")
        latent = _latent(root, unet, vae)
        weights = [path for name in NETWORKS for path in weight_files(root / name)]
        for path in weights:
            read_header(path)
        configurations = [path for path in root.glob("*/*.json") if path.parent.name in (*COMPONENTS, "scheduler")]
        side = int(unet.get("sample_size") or 64) * latent.factor
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=digest(root, [*weights, *configurations]),
            title=entry.title,
            path=root,
            capabilities=frozenset({"encode_text", "denoise", "decode", "encode_image"}),
            defaults=_overlaid(entry.name, Defaults(width=side, height=side), entry.defaults),
            limits=_overlaid(entry.name, Limits(8 * latent.factor, max(2048, side), latent.factor), entry.limits),
            licence=entry.licence,
            info={"bytes": str(sum(path.stat().st_size for path in weights))},
            parametrisation=parametrisation_of(scheduler),
            latent=latent,
            layers=layers_of(unet),
        )

    def load(self, card: ModelCard, on: torch.device) -> StableDiffusionModel:
        """Read the weights and move them to the device: the UNet in half precision on an accelerator, all else in float32."""
        import torch

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.stable_diffusion import Parts, StableDiffusionModel

        assert card.path is not None
        full = loading.Place(on, torch.float32)
        half = loading.Place(on, torch.float16 if on.type == "cuda" else torch.float32)
        parts = Parts(
            tokenizer=loading.load_tokenizer(card.path / "tokenizer"),
            text_encoder=loading.load_text_encoder(card.path / "text_encoder", full),
            unet=loading.load_unet(card.path / "unet", half),
            vae=loading.load_autoencoder(card.path / "vae", full),
        )
        return StableDiffusionModel(card, parts, on)


def _directory(entry: ModelEntry) -> Path:
    if entry.path is None or not (entry.path / "model_index.json").is_file():
        raise ModelError(
            f"The model {entry.name!r} is not there: {entry.path} holds no model_index.json.",
            hint="Put a diffusers Stable Diffusion directory there; `gesso train starter` makes the starter's.",
        )
    return entry.path


def check_index(root: Path, index: Mapping[str, Any]) -> None:
    """The pipeline and its components must be of known classes; nothing is looked up by a name from a file."""
    pipeline = index.get("_class_name")
    if pipeline not in PIPELINES:
        raise ModelError(
            f"{root} is a {pipeline!r}; the family 'stable-diffusion' runs {', '.join(sorted(PIPELINES))}.",
            hint="Use a Stable Diffusion 1.x or 2.x model.",
        )
    for name, allowed in COMPONENTS.items():
        named = index.get(name)
        if not (isinstance(named, list) and len(named) == 2 and tuple(named) in allowed):
            wanted = " or ".join(sorted(".".join(pair) for pair in allowed))
            raise ModelError(f"{root / 'model_index.json'} gives {named!r} as its {name}; this family takes {wanted}.")


def _latent(root: Path, unet: Mapping[str, Any], vae: Mapping[str, Any]) -> Latent:
    channels, widths = vae.get("latent_channels"), vae.get("block_out_channels")
    if not isinstance(channels, int) or not isinstance(widths, list) or not widths:
        raise ModelError(f"{root / 'vae' / 'config.json'} lacks latent_channels or block_out_channels.")
    if unet.get("in_channels") != channels or unet.get("out_channels") != channels:
        raise ModelError(
            f"The UNet in {root} has {unet.get('in_channels')} channels in and {unet.get('out_channels')} out, its autoencoder {channels}; "
            "inpainting, depth and instruction models are not run by this family.",
            hint="Use a text-to-image model.",
        )
    return Latent(channels, 2 ** (len(widths) - 1))


def _overlaid(name: str, own: Any, declared: Mapping[str, Any]) -> Any:
    """The owner's declaration over what the files say."""
    try:
        return replace(own, **declared)
    except TypeError as fault:
        raise ModelError(f"The manifest declares something about the model {name!r} that does not exist: {fault}.") from fault
