"""A directory in Karlo's format, as diffusers writes its `UnCLIPPipeline` and `UnCLIPImageVariationPipeline`: what is in it, checked, and
its networks. No code of it runs, and nothing is looked up by a name from a file.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gesso.errors import ModelError
from gesso.library import hashes, read_header, read_json, weight_files
from gesso.library.snapshot import INDEX, OF_PIPELINES, check_snapshot, components
from gesso.media.preparing import Preparing

HINT = "Get the directory again as diffusers saves it, or use one that `gesso train unclip` wrote."

NETWORKS: Mapping[str, tuple[str, str]] = {
    "text_encoder": ("transformers", "CLIPTextModelWithProjection"),
    "image_encoder": ("transformers", "CLIPVisionModelWithProjection"),
    "prior": ("diffusers", "PriorTransformer"),
    "text_proj": ("diffusers", "UnCLIPTextProjModel"),
    "decoder": ("diffusers", "UNet2DConditionModel"),
    "super_res_first": ("diffusers", "UNet2DModel"),
    "super_res_last": ("diffusers", "UNet2DModel"),
}
"""Networks by component."""
_MODULES = {
    "CLIPTextModelWithProjection": "transformers.models.clip.modeling_clip",
    "CLIPVisionModelWithProjection": "transformers.models.clip.modeling_clip",
    "PriorTransformer": "diffusers.models.transformers.prior_transformer",
    "UnCLIPTextProjModel": "diffusers.pipelines.deprecated.unclip.text_proj",
    "UNet2DConditionModel": "diffusers.models.unets.unet_2d_condition",
    "UNet2DModel": "diffusers.models.unets.unet_2d",
}
WANTED: Mapping[str, frozenset[str]] = {
    "UnCLIPPipeline": frozenset({"text_encoder", "tokenizer", "prior", "text_proj", "decoder"}),
    "UnCLIPImageVariationPipeline": frozenset({"text_encoder", "tokenizer", "image_encoder", "text_proj", "decoder"}),
}
"""What a pipeline cannot be run without. An upsampler may be left out; an image encoder may come beside a prior."""
CLIP_OF = "_clip"
"""The key of an index that leaves its CLIP out: the SHA-256 of that one's weights. It is then the one that ships with Gesso."""
RECORD = "training.json"
"""What Gesso's training leaves beside the index."""
BORROWED = ("text_encoder", "tokenizer", "image_encoder")
"""What comes from that CLIP."""
CLIP_WEIGHTS = "model.safetensors"
UPSAMPLER = ("super_res_first", "super_res_last")
"""Where the second is left out, the first takes the last step as well."""


@dataclass(frozen=True)
class Directory:
    """One such directory. clip: the directory of the CLIP that ships, where there is one."""

    path: Path
    clip: Path | None = None

    @staticmethod
    def of(name: str, path: Path | None, clip: Path | None = None) -> Directory:
        """The directory of a model, its index checked; ModelError says what is missing."""
        if path is None or not (path / INDEX).is_file():
            raise ModelError(f"The model {name!r} is not there: {path} holds no {INDEX}.", hint=HINT)
        directory = Directory(path, clip)
        directory._check()
        return directory

    @cached_property
    def index(self) -> Mapping[str, Any]:
        """Of a snapshot that carries no code."""
        return check_snapshot(self.path)

    @cached_property
    def parts(self) -> Mapping[str, tuple[str, str]]:
        """The classes of the components that are there."""
        borrowed = {"tokenizer": ("transformers", "CLIPTokenizer"), **NETWORKS}
        return components(self.index) | ({name: borrowed[name] for name in BORROWED} if self.borrows else {})

    @property
    def borrows(self) -> bool:
        """Whether its CLIP is the one that ships."""
        return CLIP_OF in self.index

    def has(self, component: str) -> bool:
        """Whether the index names it."""
        return component in self.parts

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that are there."""
        return tuple(name for name in NETWORKS if self.has(name))

    def settings(self, component: str) -> dict[str, Any]:
        """The configuration of a network."""
        found = read_json(self._folder(component) / "config.json")
        if self.borrows and component in BORROWED:
            found = {**found[{"text_encoder": "text_config", "image_encoder": "vision_config"}[component]]}
        return found

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """What its training wrote down, where it was Gesso's."""
        path = self.path / RECORD
        return read_json(path) if path.is_file() else {}

    def preparing(self, side: int) -> Preparing:
        """How its image encoder, of so many pixels, wants pictures."""
        file = (self._folder("image_encoder") if self.borrows else self.path / "feature_extractor") / "preprocessor_config.json"
        return Preparing.of(side, read_json(file) if file.is_file() else {}, crop=not self.borrows)

    def _folder(self, component: str) -> Path:
        """Where a component lies."""
        if self.borrows and component in BORROWED:
            assert self.clip is not None
            return self.clip
        return self.path / component

    def schedule(self, part: str) -> dict[str, Any]:
        """The configuration of a part's scheduler; ModelError for one of another class."""
        found = read_json(self.path / f"{part}_scheduler" / "scheduler_config.json")
        if found.get("_class_name") != "UnCLIPScheduler":
            raise ModelError(
                f"The {part} of {self.path} is stepped by a {found.get('_class_name')!r}, not by an UnCLIPScheduler.", hint=HINT
            )
        return found

    def weights(self) -> list[Path]:
        """All weight files, their headers read and found sound."""
        folders = dict.fromkeys(self._folder(name) for name in self.networks)
        files = [file for folder in folders for file in weight_files(folder)]
        for file in files:
            read_header(file)
        return files

    def digest(self, weights: list[Path]) -> str:
        """Over weights and configurations; over the index as well where that names a CLIP."""
        own = [file for file in weights if file.is_relative_to(self.path)]
        index = [self.path / INDEX] if self.borrows else []
        return hashes.shared.of_files(self.path, [*own, *index, *sorted(self.path.glob("*/*.json"))])

    def tokenizer(self) -> Any:
        """The vocabulary of the text encoder."""
        from transformers.models.clip.tokenization_clip import CLIPTokenizer

        folder = self._folder("tokenizer")
        if not (folder / "tokenizer.json").is_file() and not all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
            raise ModelError(f"The tokenizer of {self.path} has no tokenizer.json and no vocab.json with merges.txt.", hint=HINT)
        try:
            return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, TypeError, KeyError) as fault:
            raise ModelError(f"The tokenizer in {folder} cannot be read: {fault}.", hint=HINT) from fault

    def network(self, component: str, dtype: torch.dtype) -> Any:
        """A network with its weights; ModelError where they do not fit its configuration."""
        library, name = NETWORKS[component]
        kind = network_class(name)
        extra = {"torch_dtype": dtype, "low_cpu_mem_usage": False} if library == "diffusers" else {"dtype": dtype}
        try:
            with _silence():
                network, told = kind.from_pretrained(
                    self._folder(component), local_files_only=True, use_safetensors=True, output_loading_info=True, **extra
                )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError) as fault:
            raise self._unfit(component, " ".join(str(fault).split())[:300]) from fault
        missing = sorted(map(str, {*told["missing_keys"], *told["mismatched_keys"]}))
        if missing:
            raise self._unfit(component, f"they lack {', '.join(missing[:3])}")
        return network.eval().requires_grad_(False)

    def _clip_there(self) -> str | None:
        """The SHA-256 of the weights of the CLIP that ships."""
        file = None if self.clip is None else self.clip / CLIP_WEIGHTS
        return hashes.shared.sha256(file) if file is not None and file.is_file() else None

    def _unfit(self, component: str, why: str) -> ModelError:
        return ModelError(f"The weights of the {component} in {self.path} do not fit its configuration: {why}.", hint=HINT)

    def _check(self) -> None:
        kind = self.index.get("_class_name")
        if not isinstance(kind, str) or kind not in WANTED:
            raise ModelError(f"{self.path} is a {kind!r}; the family 'unclip' runs {' and '.join(WANTED)}.", hint=HINT)
        if self.borrows and self.index[CLIP_OF] != self._clip_there():
            raise ModelError(
                f"The model in {self.path} was trained on another CLIP than the one that ships with this Gesso, and leaves it out.",
                hint="Take weights that were made for this version, or train them: `gesso train unclip` without --borrow-clip.",
            )
        missing = sorted(WANTED[kind] - self.parts.keys())
        if missing:
            raise ModelError(f"The model in {self.path} lacks its {' and its '.join(missing)}.", hint=HINT)
        if self.has(UPSAMPLER[1]) and not self.has(UPSAMPLER[0]):
            raise ModelError(f"The upsampler in {self.path} is half there: its {UPSAMPLER[1]} needs a {UPSAMPLER[0]}.", hint=HINT)
        for name in self.networks:
            if self.parts[name] != NETWORKS[name] and self.parts[name] not in OF_PIPELINES:
                found, wanted = self.parts[name][1], NETWORKS[name][1]
                raise ModelError(f"{self.path / INDEX} gives a {found!r} as its {name}; this family takes {wanted}.", hint=HINT)


@contextmanager
def _silence() -> Iterator[None]:
    """What both libraries tell themselves: of names that are old, of a key that is Gesso's, of the half of a CLIP that is not asked for."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    before = of_diffusers.get_verbosity(), of_transformers.get_verbosity()
    of_diffusers.set_verbosity_error()
    of_transformers.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        of_diffusers.set_verbosity(before[0])
        of_transformers.set_verbosity(before[1])


def network_class(name: str) -> Any:
    """One of the classes above."""
    return getattr(importlib.import_module(_MODULES[name]), name)
