"""A directory in Karlo's format, as diffusers writes its `UnCLIPPipeline` and `UnCLIPImageVariationPipeline`: what is in it, checked, and
its networks. No code of it runs, and nothing is looked up by a name from a file.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gesso.errors import ModelError
from gesso.library import hashes, read_header, read_json, weight_files
from gesso.library.snapshot import INDEX, OF_PIPELINES, check_snapshot, components

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
UPSAMPLER = ("super_res_first", "super_res_last")
"""Where the second is left out, the first takes the last step as well."""


@dataclass(frozen=True)
class Directory:
    """One such directory."""

    path: Path

    @staticmethod
    def of(name: str, path: Path | None) -> Directory:
        """The directory of a model, its index checked; ModelError says what is missing."""
        if path is None or not (path / INDEX).is_file():
            raise ModelError(f"The model {name!r} is not there: {path} holds no {INDEX}.", hint=HINT)
        directory = Directory(path)
        directory._check()
        return directory

    @cached_property
    def index(self) -> Mapping[str, Any]:
        """Of a snapshot that carries no code."""
        return check_snapshot(self.path)

    @cached_property
    def parts(self) -> Mapping[str, tuple[str, str]]:
        """The classes of the components that are there."""
        return components(self.index)

    def has(self, component: str) -> bool:
        """Whether the index names it."""
        return component in self.parts

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that are there."""
        return tuple(name for name in NETWORKS if self.has(name))

    def settings(self, component: str) -> dict[str, Any]:
        """The configuration of a network."""
        return read_json(self.path / component / "config.json")

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
        files = [file for name in self.networks for file in weight_files(self.path / name)]
        for file in files:
            read_header(file)
        return files

    def digest(self, weights: list[Path]) -> str:
        """Over weights and configurations."""
        return hashes.shared.of_files(self.path, [*weights, *sorted(self.path.glob("*/*.json"))])

    def tokenizer(self) -> Any:
        """The vocabulary of the text encoder."""
        from transformers.models.clip.tokenization_clip import CLIPTokenizer

        folder = self.path / "tokenizer"
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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # what diffusers tells itself
                network, told = kind.from_pretrained(
                    self.path / component, local_files_only=True, use_safetensors=True, output_loading_info=True, **extra
                )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError) as fault:
            raise self._unfit(component, " ".join(str(fault).split())[:300]) from fault
        missing = sorted(map(str, {*told["missing_keys"], *told["mismatched_keys"]}))
        if missing:
            raise self._unfit(component, f"they lack {', '.join(missing[:3])}")
        return network.eval().requires_grad_(False)

    def _unfit(self, component: str, why: str) -> ModelError:
        return ModelError(f"The weights of the {component} in {self.path} do not fit its configuration: {why}.", hint=HINT)

    def _check(self) -> None:
        kind = self.index.get("_class_name")
        if not isinstance(kind, str) or kind not in WANTED:
            raise ModelError(f"{self.path} is a {kind!r}; the family 'unclip' runs {' and '.join(WANTED)}.", hint=HINT)
        missing = sorted(WANTED[kind] - self.parts.keys())
        if missing:
            raise ModelError(f"The model in {self.path} lacks its {' and its '.join(missing)}.", hint=HINT)
        if self.has(UPSAMPLER[1]) and not self.has(UPSAMPLER[0]):
            raise ModelError(f"The upsampler in {self.path} is half there: its {UPSAMPLER[1]} needs a {UPSAMPLER[0]}.", hint=HINT)
        for name in self.networks:
            if self.parts[name] != NETWORKS[name] and self.parts[name] not in OF_PIPELINES:
                found, wanted = self.parts[name][1], NETWORKS[name][1]
                raise ModelError(f"{self.path / INDEX} gives a {found!r} as its {name}; this family takes {wanted}.", hint=HINT)


def network_class(name: str) -> Any:
    """One of the classes above."""
    return getattr(importlib.import_module(_MODULES[name]), name)
