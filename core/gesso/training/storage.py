"""The file of a small model of one's own: one safetensors file in half precision whose metadata holds the sizes, the vocabulary and the
record as JSON. It is data alone; what is in it is checked before a network is built.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from gesso.errors import InvalidRequest, ModelError
from gesso.library import Header, read_header
from gesso.training.ema import Trained
from gesso.training.files import write_atomically
from gesso.training.vocabulary import keep, read_vocabulary, spelled

VERSION = "1"


class Sizes(Protocol):
    """The numbers that networks are built from; ``length``: how many words they read."""

    @property
    def length(self) -> int:
        """Words of a caption."""
        ...

    def as_json(self) -> str:
        """For the metadata."""
        ...


class Kept(Trained, Protocol):
    """What a file holds: networks with their sizes and the vocabulary that words go through."""

    @property
    def config(self) -> Sizes:
        """The sizes."""
        ...

    @property
    def tokenizer(self) -> CLIPTokenizer:
        """The vocabulary."""
        ...


Config = TypeVar("Config", bound=Sizes)
Networks = TypeVar("Networks", bound=Kept)


@dataclass(frozen=True)
class Told(Generic[Config]):
    """What a file's metadata says."""

    config: Config
    tokenizer: CLIPTokenizer
    record: dict[str, Any]


@dataclass(frozen=True)
class ModelFile(Generic[Config, Networks]):
    """A kind of file. name: of the format. title: what it is called in errors. command: that writes such files. of: reads what
    ``as_json`` of the sizes wrote, ValueError for anything else. new: untrained networks. words: the tensor with a row for each word of the
    vocabulary, and for each place of a caption besides where ``places`` says so.
    """

    name: str
    title: str
    command: str
    of: Callable[[Mapping[str, Any]], Config]
    new: Callable[[Config, CLIPTokenizer], Networks]
    words: str
    places: bool = False

    @property
    def hint(self) -> str:
        """What to do about a file that is not of this kind."""
        return f"Give a file that `{self.command}` wrote."

    def save(self, path: Path, networks: Networks, record: Mapping[str, Any]) -> int:
        """Keep networks in half precision; the answer is the file's size in bytes."""
        metadata = {
            "format": self.name,
            "version": VERSION,
            "config": networks.config.as_json(),
            "vocabulary": spelled(networks.tokenizer),
            "record": json.dumps(record, sort_keys=True),
        }
        tensors = {name: value.detach().half().contiguous() for name, value in networks.named_tensors().items()}
        write_atomically(path, lambda target: save_file(tensors, target, metadata))
        return path.stat().st_size

    def told(self, path: Path) -> Told[Config]:
        """The metadata of a file, checked; ModelError says what else the file is."""
        return self._told(path, read_header(path))

    def load(self, path: Path) -> tuple[Networks, dict[str, Any]]:
        """Networks in full precision and their record; ModelError says what is wrong with a file, before anything of its size is made."""
        header = read_header(path)
        told = self._told(path, header)
        with torch.device("meta"):
            wanted = self.new(told.config, told.tokenizer).named_tensors()
        found = {name: shape for name, (_, shape) in header.tensors.items()}
        if found != {name: tuple(value.shape) for name, value in wanted.items()}:
            raise ModelError(f"The tensors of {path} are not those of the networks that it describes.", hint=self.hint)
        networks = self.new(told.config, told.tokenizer)
        networks.load_tensors({name: value.float() for name, value in load_file(path).items()})
        return networks, told.record

    def begin(self, path: Path, config: Config, folder: Path) -> tuple[Networks, dict[str, Any]]:
        """What a new run in ``folder`` starts from: the networks of a file, whose vocabulary it takes over, and their record.
        InvalidRequest where they are not of the sizes of the run.
        """
        networks, record = self.load(path)
        if networks.config != config:
            raise InvalidRequest(f"The networks in {path} have other sizes than this run's.", field="from", hint="Begin from nothing.")
        keep(folder, networks.tokenizer)
        return networks, record

    def _told(self, path: Path, header: Header) -> Told[Config]:
        said = header.metadata
        if said.get("format") != self.name:
            raise ModelError(f"{path} is no {self.title} of Gesso.", hint=self.hint)
        if said.get("version") != VERSION:
            raise ModelError(f"{path} is a {self.title} of version {said.get('version')!r}; this Gesso reads {VERSION}.", hint=self.hint)
        try:
            config = self.of(json.loads(said["config"]))
            tokenizer = read_vocabulary(said["vocabulary"])
            record = dict(json.loads(said["record"]))
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise ModelError(f"The metadata of {path} cannot be read: {fault}.", hint=self.hint) from fault
        rows = header.tensors.get(self.words, ("", (0,)))[1][0] - (config.length if self.places else 0)
        if rows != len(tokenizer) or tokenizer.model_max_length != config.length:
            raise ModelError(f"The vocabulary in {path} has {len(tokenizer)} words, but its networks know {max(rows, 0)}.", hint=self.hint)
        return Told(config, tokenizer, record)
