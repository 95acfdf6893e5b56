"""Registers the family and the scorer of CLIP, and its commands, given the pictures that they learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gesso.manifest import first_party
from gesso.plugin import CaptionedSource, CommandSpec, FilterSpec, GuidanceSpec, ScorerSpec, build_plugins, command, hookimpl
from gesso_plugins.clip.aesthetic import aesthetic
from gesso_plugins.clip.content import content_check
from gesso_plugins.clip.scorer import clip

if TYPE_CHECKING:
    from gesso.model import Family

DATASET = "procedural"


@command("train clip", help="Train the small CLIP on procedural renders.")
def train(argv: Sequence[str]) -> int:
    """`gesso train clip`."""
    from gesso_plugins.clip.command import train as run

    return run(argv, _source())


@command("evaluate clip", help="Measure the small CLIP: retrieval, colour, unknown materials, against a colour histogram.")
def evaluate(argv: Sequence[str]) -> int:
    """`gesso evaluate clip`."""
    from gesso_plugins.clip.command import evaluate as run

    return run(argv, _source())


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Directories of CLIP and SigLIP models, and of safety checkers."""
    from gesso_plugins.clip.family import ClipFamily
    from gesso_plugins.clip.safety import SafetyFamily

    return [ClipFamily(), SafetyFamily()]


@hookimpl
def gesso_scorers() -> Iterable[ScorerSpec]:
    """How well a picture fits its prompt, and how much people would like it."""
    return [clip, aesthetic]


@hookimpl
def gesso_guidance() -> Iterable[GuidanceSpec]:
    """Towards pictures that fit the prompt better."""
    from gesso_plugins.clip.guidance import clip_guidance

    return [clip_guidance]


@hookimpl
def gesso_filters() -> Iterable[FilterSpec]:
    """The content check."""
    return [content_check]


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train clip` and `gesso evaluate clip`."""
    return [train, evaluate]


def _source() -> CaptionedSource:
    return build_plugins(first_party()).dataset(DATASET)
