"""The judge of the starter as others ask it: by name, reading its weights when it is first asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gesso_plugins.starter.classifier import Judge

TRAINED = 128
"""Pixels a side of what the judge was trained on."""


class StarterJudge:
    """`gesso.plugin.judging.Judge` of materials and colours."""

    name: ClassVar[str] = "starter"
    dataset: ClassVar[str] = "procedural"
    smallest: ClassVar[int] = 64

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """The materials and colours of its training."""
        return {"material": self._network.materials, "colour": self._network.colours}

    def judge(self, images: npt.NDArray[np.uint8]) -> Sequence[Mapping[str, str]]:
        """Smaller pictures are enlarged towards the 128 pixels a side that it was trained at, each pixel to a square of as many: it names
        the material of 99 % of true renders of 64 pixels so, and of half of them as they are.
        """
        times = max(1, TRAINED // images.shape[1])
        verdict = self._network.judge(images.repeat(times, 1).repeat(times, 2))
        seen = zip(verdict.materials, verdict.colours, strict=True)
        return [{"material": self._network.materials[m], "colour": self._network.colours[c]} for m, c in seen]

    @cached_property
    def _network(self) -> Judge:
        from gesso_plugins.starter.classifier import load_judge
        from gesso_plugins.starter.command import JUDGE_FILE
        from gesso_plugins.starter.evaluate import evaluation_file

        return load_judge(evaluation_file(JUDGE_FILE))
