"""A checkpoint on disk by its components, whatever its layout: settings, tensors and vocabularies. It builds nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from gesso.errors import ModelError
from gesso.model import Size
from gesso_plugins.diffusion.files import AGAIN, digest, read_header, read_json, weight_files


class Networks(Protocol):
    """Networks by component: what one is built from."""

    @property
    def path(self) -> Path:
        """What to call the checkpoint in a sentence."""
        ...

    def settings(self, component: str) -> dict[str, Any]:
        """The configuration of a network or of the scheduler."""
        ...

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:
        """The weights of a network under their names in diffusers and transformers, in the number format they lie in."""
        ...


class Source(Networks, Protocol):
    """Components go by their names in diffusers (``unet``, ``vae``, ``text_encoder`` ...)."""

    @property
    def index(self) -> Mapping[str, Any]:
        """Classes by component, and the settings of the pipeline itself."""
        ...

    def has(self, component: str) -> bool:
        """Whether the component is there."""
        ...

    def vocabulary(self, component: str) -> Path:
        """The folder of a tokenizer's files."""
        ...

    def token_settings(self, component: str) -> Mapping[str, str]:
        """What a tokenizer needs beside its files."""
        ...

    def weights(self, components: tuple[str, ...]) -> list[Path]:
        """The weight files of those components that are there, their headers read and found sound."""
        ...

    def size(self, component: str) -> Size:
        """How many numbers a network has, from headers alone."""
        ...

    def digest(self, weights: list[Path], components: tuple[str, ...]) -> str:
        """SHA-256 of all that the model depends on."""
        ...


_VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
T5_HINT = "All T5 models have one vocabulary; google-t5/t5-small carries it as tokenizer.json."


class Directory:
    """A directory as diffusers writes it: a folder for each component, named in ``model_index.json``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.index: Mapping[str, Any] = read_json(root / "model_index.json")

    @property
    def path(self) -> Path:
        """The directory."""
        return self._root

    def has(self, component: str) -> bool:
        """Whether the index names a class for it: diffusers writes two nulls for what a pipeline does without."""
        named = self.index.get(component)
        return isinstance(named, list) and all(named)

    def settings(self, component: str) -> dict[str, Any]:
        """From its ``config.json``, for the scheduler from ``scheduler_config.json``."""
        return read_json(self._root / component / ("scheduler_config.json" if component == "scheduler" else "config.json"))

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:
        """From its one safetensors file, or from its shards."""
        read: dict[str, Tensor] = {}
        for path in weight_files(self._root / component):
            read.update(read_tensors(path, device))
        return read

    def vocabulary(self, component: str) -> Path:
        """Its folder, if a whole vocabulary is there: transformers makes one up in silence where none is."""
        folder = self._root / component
        if not any(all((folder / name).is_file() for name in names) for names in _VOCABULARIES):
            raise ModelError(
                f"The {component} of {self._root} has no tokenizer.json and no vocab.json with merges.txt; nothing else can be read.",
                hint=f"Put the tokenizer.json of the same tokenizer there. {T5_HINT}",
            )
        return folder

    def token_settings(self, component: str) -> Mapping[str, str]:  # noqa: ARG002  (the same for all)
        """Nothing: all of it lies in the folder."""
        return {}

    def weights(self, components: tuple[str, ...]) -> list[Path]:
        """The weight files of those components that are there, their headers read and found sound."""
        files = [path for name in components if self.has(name) for path in weight_files(self._root / name)]
        for path in files:
            read_header(path)
        return files

    def size(self, component: str) -> Size:
        """From the headers of its files."""
        return size_of({key: shape for path in weight_files(self._root / component) for key, (_, shape) in read_header(path).items()})

    def digest(self, weights: list[Path], components: tuple[str, ...]) -> str:
        """Over weights and the configurations of the components."""
        configurations = [path for path in self._root.glob("*/*.json") if path.parent.name in (*components, "scheduler")]
        return digest(self._root, [*weights, *configurations])


class Resting:
    """A checkpoint whose weights are read into the machine's memory, whatever device they are for."""

    def __init__(self, source: Source, rest: torch.device) -> None:
        self._source = source
        self._rest = rest

    def __getattr__(self, name: str) -> Any:
        """All else is as it was."""
        return getattr(self._source, name)

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:  # noqa: ARG002  (that is the point)
        """The weights of a network."""
        return self._source.tensors(component, self._rest)


def size_of(shapes: Mapping[str, tuple[int, ...]]) -> Size:
    """Of tensors by name: matrices are linear layers, but for tables of words."""
    numbers = {key: math.prod(shape) for key, shape in shapes.items()}
    linear = (key for key, shape in shapes.items() if len(shape) == 2 and not any(word in key for word in _TABLES))
    return Size(sum(numbers.values()), sum(numbers[key] for key in linear))


_TABLES = ("embed", "shared", "positional", "relative_attention_bias")


@dataclass(frozen=True)
class Part:
    """Those tensors of a safetensors file whose names start with a prefix; they are called without it."""

    path: Path
    prefix: str = ""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """From the header alone."""
        named = read_header(self.path).items()
        return {key.removeprefix(self.prefix): shape for key, (_, shape) in named if key.startswith(self.prefix)}

    def read(self, device: torch.device) -> dict[str, Tensor]:
        """The tensors, in the number format they lie in."""
        keys = [key for key in read_header(self.path) if key.startswith(self.prefix)]
        return {key.removeprefix(self.prefix): value for key, value in read_keys(self.path, keys, device).items()}


def read_keys(path: Path, keys: Iterable[str], device: torch.device) -> dict[str, Tensor]:
    """Some tensors of a file that was found sound."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            return {key: file.get_tensor(key) for key in keys}
    except (SafetensorError, OSError) as fault:
        raise ModelError(f"{path} cannot be read: {fault}.", hint=AGAIN) from fault


def read_tensors(path: Path, device: torch.device) -> dict[str, Tensor]:
    """All tensors of a file that was found sound."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    read_header(path)
    try:
        read: dict[str, Tensor] = load_file(path, device=str(device))
    except (SafetensorError, OSError) as fault:
        raise ModelError(f"{path} cannot be read: {fault}.", hint=AGAIN) from fault
    return read
