"""Codecs: what a plugin registers to turn a finished picture into the bytes of a file. They see pixels; where a file goes is not theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from gesso.media.profile import Profile


@dataclass(frozen=True)
class CodecContext:
    """A picture that becomes a file. Fields may be added, never removed.

    pixels: (H, W, 1 to 4) of a sample type that the codec holds, contiguous. profile: the space of its colours. role: ``image`` or a map's
    name. texts: how it was made, for the file to carry where its format can: ``parameters`` as the peers read it and ``gesso`` (JSON);
    empty where nothing is to be told. options: the owner's settings of the plugin. associated: colours are multiplied with the alpha.
    """

    pixels: npt.NDArray[Any]
    profile: Profile
    role: str = "image"
    texts: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    associated: bool = False


CodecFunction = Callable[[CodecContext], bytes]
"""Pure CPU work on a thread. Equal pictures give equal bytes: no time, no id."""


@dataclass(frozen=True)
class CodecSpec:
    """A kind of file. ``holds``: the types of samples that it can keep as they are; a picture of others stays the file that it would have
    been, and the result's warnings say so.
    """

    name: str
    function: CodecFunction
    title: str
    media_type: str
    ending: str
    holds: tuple[str, ...] = ("uint8",)
    aliases: tuple[str, ...] = ()


def codec(
    name: str, *, title: str, media_type: str, ending: str, holds: Sequence[str] = ("uint8",), aliases: Sequence[str] = ()
) -> Callable[[CodecFunction], CodecSpec]:
    """Turn a function of a `CodecContext` into a `CodecSpec`. ``ending`` is that of file names, without the dot."""

    def wrap(function: CodecFunction) -> CodecSpec:
        return CodecSpec(name, function, title, media_type, ending, tuple(holds), tuple(aliases))

    return wrap
