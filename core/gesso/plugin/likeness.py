"""Moving the embedding of a picture, for every operation that makes pictures of one: towards another picture, or by a difference of words.

The checks across their fields; what is made of them is up to the operation. Torch-free.
"""

from __future__ import annotations

from typing import Protocol

from gesso.errors import InvalidRequest
from gesso.plugin.fields import InputBlob

MOVES = ("toward", "from_text", "to_text")
"""The names of the fields, for operations that hand them on."""


class Moved(Protocol):
    """Parameters of an operation that can move an embedding."""

    @property
    def toward(self) -> InputBlob | None:
        """The other picture."""
        ...

    @property
    def from_text(self) -> str | None:
        """What the picture shows."""
        ...

    @property
    def to_text(self) -> str | None:
        """What is to be shown instead."""
        ...


def moves(params: Moved) -> bool:
    """Whether the embedding is moved; InvalidRequest for what says too little or too much."""
    if (params.from_text is None) != (params.to_text is None):
        raise InvalidRequest(
            "A difference of words needs both: what the picture shows, and what it is to show.",
            field="to_text" if params.to_text is None else "from_text",
            hint="Give from_text and to_text.",
        )
    if params.from_text is not None and params.from_text == params.to_text:
        raise InvalidRequest("The words before and after are the same, so that there is no difference.", field="to_text")
    if params.toward is not None and params.from_text is not None:
        raise InvalidRequest(
            "An embedding is moved towards a picture or by words, not both.", field="toward", hint="Leave one of the two out."
        )
    return params.toward is not None or params.from_text is not None
