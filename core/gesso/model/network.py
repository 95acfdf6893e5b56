"""A model that is one network and answers methods: what every such model shares. It takes no patches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from gesso.errors import InvalidRequest
from gesso.model.card import ModelCard
from gesso.model.patches import Patch


class NetworkModel:
    """`gesso.model.Applies`: each method by its name, a function of the inputs. None of them runs beside the device."""

    def __init__(self, card: ModelCard, network: torch.nn.Module, answers: Mapping[str, Callable[[Mapping[str, Any]], Any]]) -> None:
        self.card = card
        self._network = network
        self._answers = dict(answers)
        self.methods: Mapping[str, bool] = dict.fromkeys(self._answers, False)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return sum(parameter.nbytes for parameter in self._network.parameters())

    def patched(self, patches: Sequence[Patch]) -> contextlib.AbstractContextManager[None]:
        """Refuses any."""
        for patch in patches:
            raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
        return contextlib.nullcontext()

    def apply(self, method: str, inputs: Mapping[str, Any]) -> Any:
        """The method's answer."""
        if method not in self._answers:
            raise InvalidRequest(f"The model {self.card.name!r} has no method {method!r}; it has {', '.join(self._answers)}.")
        return self._answers[method](inputs)
