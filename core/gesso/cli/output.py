"""Where pictures go and what they are called, checked before a job is submitted, so that nothing is overwritten unasked."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gesso.config import load
from gesso.errors import OutputError, UsageError
from gesso.wire.home import Home

SLUG_LENGTH = 48
KINDS = {".png": "png", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff", ".exr": "exr"}
"""What a file's name promises, by the ending that Gesso gives such files."""


@dataclass(frozen=True)
class Picture:
    """What names one result file. ``n`` counts from 1; ``role`` is ``image`` or the name of a map."""

    seed: int | None
    n: int
    role: str
    ending: str = "png"


@dataclass(frozen=True)
class Destination:
    """A checked place for results: a folder with a pattern for names, or one file. ``credentials``: files are signed."""

    folder: Path
    file: str | None
    pattern: str
    force: bool
    credentials: bool = False

    def paths(self, pictures: Sequence[Picture], fields: Mapping[str, Any]) -> list[Path]:
        """One path per picture; raises UsageError where several would share a file, OutputError where a file exists."""
        if self.file is not None and len(pictures) > 1:
            raise UsageError(
                f"This job makes {len(pictures)} files, but --output names one file, {self.file!r}.",
                field="output",
                hint="Give a folder: end it in a slash.",
            )
        names = [self._name(picture, fields) if self.file is None else _true(self.file, picture.ending) for picture in pictures]
        paths = [self.folder / name for name in names]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(
                f"The pattern {self.pattern!r} gives several pictures the name {twice!r}.", field="pattern", hint="Put {n} into it."
            )
        self._refuse_existing(paths)
        return paths

    def unchecked(self) -> Destination:
        """The same place without the check for existing files: for trying a pattern before the seed is known."""
        return replace(self, force=True)

    def _refuse_existing(self, paths: Iterable[Path]) -> None:
        if self.force:
            return
        for path in paths:
            if os.path.lexists(path):
                raise OutputError(f"{path} exists already.", field="output", hint="Use --force to overwrite it, or another --output.")

    def _name(self, picture: Picture, fields: Mapping[str, Any]) -> str:
        values = {**fields, "seed": picture.seed, "n": picture.n}
        try:
            stem = self.pattern.format_map(values)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as fault:
            known = ", ".join("{" + key + "}" for key in values)
            raise UsageError(
                f"The pattern {self.pattern!r} cannot be filled: {fault}.", field="pattern", hint=f"It may use {known}."
            ) from None
        if not stem or stem.startswith(".") or "/" in stem or os.sep in stem or "\0" in stem:
            raise UsageError(f"The pattern {self.pattern!r} gives {stem!r}, which is not a file name.", field="pattern")
        return f"{stem}.{picture.ending}" if picture.role == "image" else f"{stem}-{picture.role}.{picture.ending}"


def _true(name: str, ending: str) -> str:
    """A file name that does not promise another kind of file than it holds."""
    path = Path(name)
    return path.with_suffix(f".{ending}").name if KINDS.get(path.suffix.lower(), ending) != ending else name


def slug(text: str) -> str:
    """A prompt as a file name: ASCII words joined by hyphens, cut between words; ``picture`` where nothing is left."""
    plain = unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    name = ""
    for word in words:
        joined = f"{name}-{word}" if name else word[:SLUG_LENGTH]
        if len(joined) > SLUG_LENGTH:
            break
        name = joined
    return name or "picture"


def asked(args: argparse.Namespace, count: int | None = None) -> Destination:
    """The checked place that a command's options name; what signs files is there where they are to be signed."""
    if args.credentials:
        from gesso.cli import credentials

        credentials.require()
    place = destination(args.output, pattern=args.pattern, force=args.force, count=count)
    return replace(place, credentials=args.credentials)


def destination(output: str | None, *, pattern: str | None = None, force: bool = False, count: int | None = None) -> Destination:
    """Check ``--output`` before anything is submitted: the folder is there (a trailing slash makes it) and can be written to."""
    folder, file = Path.cwd(), None
    if output is not None:
        is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
        folder = Path(output) if is_folder else Path(output).parent
        file = None if is_folder else Path(output).name
        if is_folder:
            _make(folder)
    if file is not None and (count or 1) > 1:
        raise UsageError(f"{count} pictures cannot go into one file, {output!r}.", field="output", hint="Give a folder: end it in a slash.")
    _probe(folder)
    found = Destination(folder, file, pattern or load(Home.find().config_file).text("output.pattern"), force)
    if file is not None:
        found._refuse_existing([folder / file])
    return found


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OutputError(
            f"The folder {folder} cannot be made: {_reason(fault)}.", field="output", hint="Choose another --output."
        ) from fault


def _probe(folder: Path) -> None:
    """Write and remove a file: permission bits alone say nothing about read-only mounts, full disks or root."""
    try:
        handle, name = tempfile.mkstemp(prefix=".gesso-", dir=folder)
        os.close(handle)
        os.unlink(name)
    except OSError as fault:
        hint = "Make the folder first, or end --output in a slash." if isinstance(fault, FileNotFoundError) else "Choose another --output."
        raise OutputError(f"Nothing can be written to the folder {folder}: {_reason(fault)}.", field="output", hint=hint) from fault


def _reason(fault: OSError) -> str:
    return (fault.strerror or str(fault)).lower()
