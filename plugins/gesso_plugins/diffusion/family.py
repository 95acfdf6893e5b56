"""What the families of latent diffusion have in common: recognising and describing a diffusers directory. It names no architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gesso.errors import ModelError
from gesso.manifest import ModelEntry
from gesso.model import Defaults, Latent, Limits, ModelCard, Parametrisation, Shift, Size, Thrift, overlaid
from gesso_plugins.diffusion.source import Directory, Source

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gesso_plugins.diffusion.model import LatentDiffusion

Classes = frozenset[tuple[str, str]]
CLIP_TOKENIZERS: Classes = frozenset({("transformers", "CLIPTokenizer"), ("transformers", "CLIPTokenizerFast")})
T5_TOKENIZERS: Classes = frozenset({("transformers", "T5Tokenizer"), ("transformers", "T5TokenizerFast")})
T5_ENCODER: Classes = frozenset({("transformers", "T5EncoderModel")})
QWEN_TOKENIZERS: Classes = frozenset({("transformers", "Qwen2Tokenizer"), ("transformers", "Qwen2TokenizerFast")})
MISTRAL_TOKENIZERS: Classes = frozenset(
    ("transformers", name) for name in ("PixtralProcessor", "PreTrainedTokenizerFast", "TokenizersBackend")
)
AUTOENCODER: Classes = frozenset({("diffusers", "AutoencoderKL")})


@dataclass(frozen=True)
class Layout:
    """The classes that a directory of a family may name. ``networks`` and ``vocabularies`` must be there unless they are ``optional``;
    whatever else a directory names is not opened.
    """

    pipelines: frozenset[str]
    networks: Mapping[str, Classes]
    vocabularies: Mapping[str, Classes]
    optional: frozenset[str] = frozenset()

    def check(self, directory: Directory, family: str) -> None:
        """Nothing is looked up by a name from a file: pipeline and components must be of known classes."""
        root, index = directory.path, directory.index
        if index.get("_class_name") not in self.pipelines:
            raise ModelError(
                f"{root} is a {index.get('_class_name')!r}; the family {family!r} runs {', '.join(sorted(self.pipelines))}.",
                hint="Use a model of this family, or add this one under its own.",
            )
        for name, allowed in (*self.networks.items(), *self.vocabularies.items()):
            if name in self.optional and not directory.has(name):
                continue
            named = index.get(name)
            if not (isinstance(named, list) and len(named) == 2 and tuple(named) in allowed):
                wanted = " or ".join(sorted(".".join(pair) for pair in allowed))
                raise ModelError(f"{root / 'model_index.json'} gives {named!r} as its {name}; this family takes {wanted}.")


@dataclass(frozen=True)
class Traits:
    """What a family reads from the settings of a checkpoint, for its card."""

    parametrisation: Parametrisation
    latent: Latent
    defaults: Defaults
    limits: Limits
    layers: tuple[str, ...] = ()
    embeds_guidance: bool = False
    base: str = ""
    shift: Shift | None = None
    extra_channels: int = 0
    hears: Mapping[str, str] = field(default_factory=dict)
    abilities: frozenset[str] = frozenset()
    info: Mapping[str, str] = field(default_factory=dict)


class LatentFamily(ABC):
    """A family of latent diffusion models: subclasses say what a directory holds, what its settings mean, and how it is built."""

    name: str
    layout: ClassVar[Layout]

    @abstractmethod
    def traits(self, source: Source) -> Traits:
        """From configurations only; raises ModelError for what this family does not run."""

    @abstractmethod
    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """Read the weights and join the borders."""

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files and safetensors headers. Raises ModelError with the fix."""
        source = self.source(entry.name, entry.path)
        traits = self.traits(source)
        for name in self.layout.vocabularies:
            if source.has(name):
                source.vocabulary(name)  # what is missing is said now, not when the model is first asked for
        networks = tuple(self.layout.networks)
        weights = source.weights(networks)
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=source.digest(weights, (*networks, *self.layout.vocabularies)),
            title=entry.title,
            path=source.path,
            capabilities=_capabilities(traits),
            defaults=overlaid(entry.name, traits.defaults, entry.defaults),
            limits=overlaid(entry.name, traits.limits, entry.limits),
            licence=entry.licence,
            info={"bytes": str(sum(path.stat().st_size for path in weights)), **traits.info},
            parametrisation=traits.parametrisation,
            latent=traits.latent,
            layers=traits.layers,
            embeds_guidance=traits.embeds_guidance,
            base=traits.base,
            shift=traits.shift,
            extra_channels=traits.extra_channels,
            hears=traits.hears,
            parts=_parts(source, networks),
        )

    def load(self, card: ModelCard, on: torch.device) -> LatentDiffusion:
        """The weights on the device."""
        return self.load_frugally(card, on, Thrift(offload="never"))

    def load_frugally(self, card: ModelCard, on: torch.device, thrift: Thrift) -> LatentDiffusion:
        """The weights in the machine's memory first, where they do not all go onto the device as they are."""
        import torch

        from gesso_plugins.diffusion.lora import Layers
        from gesso_plugins.diffusion.source import Resting

        source, rest = self.source(card.name, card.path), torch.device("cpu")
        waits = thrift.int8 or thrift.offload == "always"
        model = self.build(card, Resting(source, rest) if waits else source, on)
        model.hold(thrift, rest)
        names = (name for name in self.layout.networks if name.startswith("text_encoder") and source.has(name))
        networks = {"unet": model.denoiser.network, **dict(zip(names, model.words.networks, strict=True))}
        model.layers = Layers(networks, self.original_names(model.denoiser.network))
        return model

    def original_names(self, denoiser: nn.Module) -> Mapping[str, str | tuple[str, ...]]:  # noqa: ARG002  (for families that have some)
        """What LoRAs made with the original layout call the denoiser's layers: flat names there -> flat names in diffusers."""
        return {}

    def source(self, name: str, path: Path | None) -> Source:
        """The checkpoint at a path, found to be one of this family."""
        if path is not None and path.is_file():
            return self.single_file(path)
        directory = directory_of(name, path)
        self.layout.check(directory, self.name)
        return directory

    def single_file(self, path: Path) -> Source:
        """A checkpoint that lies in one file; families that read none refuse."""
        raise ModelError(f"{path} is one file; the family {self.name!r} reads diffusers directories.", hint="Get the model as a directory.")


def _capabilities(traits: Traits) -> frozenset[str]:
    """LoRAs are learned for models that hear words alone, and not a picture beside them."""
    learns = not traits.extra_channels and "instruct" not in traits.abilities
    return frozenset({"encode_text", "denoise", "decode", "encode_image"}) | traits.abilities | ({"learn"} if learns else frozenset())


def _parts(source: Source, networks: Iterable[str]) -> dict[str, Size]:
    """What `LatentDiffusion.hold` lets take turns."""
    found: dict[str, Size] = {}
    for name in networks:
        if source.has(name):
            part = "words" if name.startswith("text_encoder") else "codec" if name == "vae" else "denoiser"
            size, before = source.size(name), found.get(part, Size(0))
            found[part] = Size(before.numbers + size.numbers, before.linear + (0 if part == "codec" else size.linear))
    return found


def directory_of(name: str, path: Path | None) -> Directory:
    """The directory of a model; ModelError where it is none of diffusers."""
    if path is None or not (path / "model_index.json").is_file():
        raise ModelError(
            f"The model {name!r} is not there: {path} holds no model_index.json.",
            hint="Put a diffusers directory there; `gesso train starter` makes the starter's.",
        )
    return Directory(path)


def latent_of(source: Source, denoiser: str, vae: Mapping[str, Any]) -> Latent:
    """The latents of an `AutoencoderKL`, from its settings."""
    channels, widths = vae.get("latent_channels"), vae.get("block_out_channels")
    if not isinstance(channels, int) or not isinstance(widths, list) or not widths:
        raise ModelError(f"The autoencoder of {source.path} lacks latent_channels or block_out_channels beside its {denoiser}.")
    return Latent(channels, 2 ** (len(widths) - 1))
