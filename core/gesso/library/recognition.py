"""Tells what a file or directory is by tables that plugins ship as data: keys and shapes of tensors, class names of pipelines. It knows no
model itself, and the first table that fits wins.

A plugin's manifest names its tables: ``recognises = "package:file.toml"``. Each ``[[layout]]`` of it is a `Layout`; its conditions are
``keys`` (all must be there; ``*`` stands for anything), ``without`` (none may be), ``shapes`` (0 stands for any size), ``metadata``
(words of the writer), and for directories ``classes`` and the ``components`` that they name. A layout with ``classes`` alone fits no
single file, one with keys alone no directory.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from gesso.errors import PluginError
from gesso.library.header import Header
from gesso.manifest import Manifest

KINDS = (
    "checkpoint", "vae", "taesd", "lora", "controlnet", "t2i_adapter", "ip_adapter", "embedding", "upscaler", "text_encoder",
    "image_encoder", "denoiser", "maps_network", "style_network",
)  # fmt: skip
"""What a file can be. Only a ``checkpoint`` makes pictures by itself; ``denoiser``: a checkpoint's largest part alone; ``maps_network``
and ``style_network``: what finds material maps, and what gives a picture the look of another. A kind and an "s" is the name of a
catalogue, but for those of ``checkpoint`` and ``upscaler``, ``models`` and ``upscaler_networks``.
"""


@dataclass(frozen=True)
class Layout:
    """One way in which a kind of model lies on disk.

    ``name``: what artists call it (sd1, sdxl, flux1-dev), and the base that LoRAs and ControlNets for it name. ``family``: the family that
    runs it, empty where none does yet. ``runs``: by whom, in a sentence of `gesso models info`. ``needs``: what the file does not carry and
    must be had elsewhere. ``prediction``: what it predicts; ``told_by``: key or metadata word -> prediction, where one layout has several.
    """

    name: str
    title: str
    kind: str = "checkpoint"
    family: str = ""
    base: str = ""
    runs: str = "Gesso's engine"
    prediction: str = ""
    told_by: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    components: tuple[str, ...] = ()

    def fits(self, header: Header) -> bool:
        """Whether a single file is of this layout."""
        if not (self.keys or self.shapes or self.metadata):
            return False
        names = _Names(header)
        return (
            all(names.has(key) for key in self.keys)
            and not any(names.has(key) for key in self.without)
            and all(names.shaped(key, shape) for key, shape in self.shapes.items())
            and all(re.fullmatch(_pattern(text), header.metadata.get(key, "")) for key, text in self.metadata.items())
        )

    def predicts(self, header: Header) -> str:
        """What a file of this layout predicts: told by a key or by the metadata, else what is usual."""
        words = set(header.tensors) | {f"{key}={value}" for key, value in header.metadata.items()}
        return next((said for word, said in self.told_by.items() if word in words), self.prediction)


@dataclass(frozen=True)
class Source:
    """A name for a model on a hub: ``[[source]]`` in a table. ``revision``, ``file`` and ``variant`` as `gesso models pull` takes them."""

    name: str
    repo: str
    title: str = ""
    licence: str = ""
    revision: str | None = None
    file: str | None = None
    variant: str | None = None


class _Names:
    """The tensors' names of one header, asked by pattern."""

    def __init__(self, header: Header) -> None:
        self._tensors = header.tensors

    def has(self, pattern: str) -> bool:
        return pattern in self._tensors or ("*" in pattern and any(map(re.compile(_pattern(pattern)).fullmatch, self._tensors)))

    def shaped(self, pattern: str, wanted: Sequence[int]) -> bool:
        matches = re.compile(_pattern(pattern)).fullmatch
        return any(
            len(shape) == len(wanted) and all(want in (0, size) for want, size in zip(wanted, shape, strict=True))
            for name, (_, shape) in self._tensors.items()
            if matches(name)
        )


@cache
def _pattern(text: str) -> str:
    return ".*".join(map(re.escape, text.split("*")))


class Layouts:
    """All tables of one installation, in order."""

    def __init__(self, layouts: Sequence[Layout], sources: Sequence[Source] = ()) -> None:
        self.all = tuple(layouts)
        self.sources = {source.name: source for source in sources}

    def of_header(self, header: Header) -> Layout | None:
        """The layout of a single file, if any fits."""
        return next((layout for layout in self.all if layout.fits(header)), None)

    def of_class(self, name: str, components: Collection[str] = ()) -> Layout | None:
        """The layout of a directory by the class that it is for, and its components; ``*`` among the classes takes what no other does."""
        exact = next((layout for layout in self.all if name in layout.classes and set(layout.components) <= set(components)), None)
        return exact or next(
            (layout for layout in self.all if any(c.endswith("*") and name.startswith(c[:-1]) for c in layout.classes)), None
        )

    def named(self, name: str) -> Layout | None:
        """The layout of that name."""
        return next((layout for layout in self.all if layout.name == name), None)


def read_layouts(manifest: Manifest) -> Layouts:
    """The tables of all plugins of a manifest; PluginError names the file and the fault."""
    from gesso.manifest import resource

    read = [_read(resource(entry.recognises)) for entry in manifest.plugins if entry.recognises]
    return Layouts([layout for layouts, _ in read for layout in layouts], [source for _, sources in read for source in sources])


def _read(path: Path) -> tuple[list[Layout], list[Source]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return [_layout(table) for table in content["layout"]], [Source(**table) for table in content.get("source", ())]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise PluginError(f"The table of models {path} cannot be used: {fault}.", details={"path": str(path)}) from fault


def _layout(table: Mapping[str, Any]) -> Layout:
    lists = {f.name for f in fields(Layout) if f.type == "tuple[str, ...]"}
    values: dict[str, Any] = {key: tuple(value) if key in lists else value for key, value in table.items()}
    layout = Layout(**values)
    if layout.kind not in KINDS:
        raise ValueError(f"the layout {layout.name!r} is of the kind {layout.kind!r}; known are {', '.join(KINDS)}")
    if not (layout.keys or layout.shapes or layout.metadata or layout.classes):
        raise ValueError(f"the layout {layout.name!r} has no condition")
    return layout
