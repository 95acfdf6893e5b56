"""Styles: named bundles of prompt, negative prompt and settings that a request can be laid over. They run no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SUBJECT = "{prompt}"
"""Stands in a style's prompt where the request's own words go."""


@dataclass(frozen=True)
class StyleSpec:
    """A style. ``prompt`` holds ``{prompt}`` once; ``negative`` is added to that of the request; ``params`` are further parameters of
    `generate` (sampler, steps, guidance, ...), which count where the request leaves them out.
    """

    name: str
    title: str
    prompt: str = SUBJECT
    negative: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    def words(self, prompt: str) -> str:
        """The prompt in this style."""
        return self.prompt.replace(SUBJECT, prompt, 1)

    def against(self, negative: str) -> str:
        """The negative prompt in this style."""
        return ", ".join(part for part in (negative.strip(), self.negative) if part)
