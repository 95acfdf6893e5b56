"""The judge of the starter as others ask it: by name, reading its weights when it is first asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from gesso.plugin.judging import FixedPrompt

if TYPE_CHECKING:
    from gesso_plugins.starter.classifier import Judge


class StarterJudge:
    """`gesso.plugin.judging.Judge` of materials and colours."""

    name: ClassVar[str] = "starter"
    dataset: ClassVar[str] = "procedural"
    smallest: ClassVar[int] = 64

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """The materials and colours of its training."""
        return {"material": self._network.materials, "colour": self._network.colours}

    @property
    def prompts(self) -> Sequence[FixedPrompt]:
        """The 500 of `gesso evaluate starter`."""
        from gesso_plugins.starter.command import PROMPTS_FILE
        from gesso_plugins.starter.evaluate import evaluation_file, load_prompts

        found = load_prompts(evaluation_file(PROMPTS_FILE))
        return [FixedPrompt(each.text, each.seed, {"material": each.material, "colour": each.colour}) for each in found]

    def judge(self, images: npt.NDArray[np.uint8]) -> Sequence[Mapping[str, str]]:
        """Smaller pictures are enlarged first."""
        from gesso_plugins.starter.classifier import enlarged

        verdict = self._network.judge(enlarged(images))
        seen = zip(verdict.materials, verdict.colours, strict=True)
        return [{"material": self._network.materials[m], "colour": self._network.colours[c]} for m, c in seen]

    @cached_property
    def _network(self) -> Judge:
        from gesso_plugins.starter.classifier import load_judge
        from gesso_plugins.starter.command import JUDGE_FILE
        from gesso_plugins.starter.evaluate import evaluation_file

        return load_judge(evaluation_file(JUDGE_FILE))
