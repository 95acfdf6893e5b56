"""What crosses between a worker and an isolated plugin: JSON, with tensors and arrays in one safetensors blob and bytes in blobs of their
own. Data classes of Gesso cross by their fields. Nothing is pickled, and nothing else crosses.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from gesso.engine import All, CallError, Emit
from gesso.errors import GessoError, PluginError
from gesso.math import Noise

_TAG = "$"
_PACKAGES = ("gesso.engine.", "gesso.model.", "gesso.media.", "gesso_plugins.")
"""Whose data classes may cross."""
Own = Callable[[Any], Mapping[str, Any] | None]
Foreign = Callable[[Mapping[str, Any]], Any]


class CannotCross(PluginError):
    """A value of this type cannot be handed to another process."""

    code = PluginError.code


class Encoder:
    """One message's values. ``own``: how the caller writes what only it knows (generators, host functions); None: not one of those."""

    def __init__(self, own: Own = lambda _: None) -> None:
        self._own = own
        self._tensors: list[Tensor] = []
        self._numbers: dict[int, int] = {}
        self._bytes: list[bytes] = []

    def value(self, thing: Any) -> dict[str, Any]:
        """The whole value, as a message carries it."""
        return {"v": self._write(thing)}

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """The tensors, then the bytes."""
        return (_saved(self._tensors), *self._bytes) if self._tensors or self._bytes else ()

    def _write(self, thing: Any) -> Any:
        if thing is None or isinstance(thing, (bool, int, str)):
            return thing
        special = self._own(thing)
        if special is not None:
            return special
        for kinds, write in _WRITERS:
            if isinstance(thing, kinds):
                return write(self, thing)
        return self._data_class(thing)

    def _float(self, thing: float) -> Any:
        return float(thing) if math.isfinite(thing) else {_TAG: "float", "v": repr(float(thing))}

    def _items(self, things: Iterable[Any]) -> list[Any]:
        return [self._write(item) for item in things]

    def _mapping(self, thing: Mapping[Any, Any]) -> Mapping[str, Any]:
        if all(isinstance(key, str) and key != _TAG for key in thing):
            return {key: self._write(item) for key, item in thing.items()}
        return {_TAG: "dict", "v": [[self._write(key), self._write(item)] for key, item in thing.items()]}

    def _array(self, tag: str, thing: Any) -> Mapping[str, Any]:
        return {_TAG: tag, "v": self._tensor(torch.from_numpy(np.array(thing, order="C")))}

    def _raw(self, thing: bytes | bytearray | memoryview) -> Mapping[str, Any]:
        self._bytes.append(bytes(thing))
        return {_TAG: "bytes", "v": len(self._bytes)}

    def _data_class(self, thing: Any) -> Mapping[str, Any]:
        kind = type(thing)
        if not (dataclasses.is_dataclass(thing) and f"{kind.__module__}.".startswith(_PACKAGES)):
            raise CannotCross(f"A {kind.__module__}.{kind.__qualname__} cannot cross between an isolated plugin and the worker.")
        fields = {field.name: self._write(getattr(thing, field.name)) for field in dataclasses.fields(thing) if field.init}
        return {_TAG: f"{kind.__module__}:{kind.__qualname__}", "v": fields}

    def _tensor(self, tensor: Tensor) -> int:
        number = self._numbers.get(id(tensor))
        if number is None:
            number = self._numbers[id(tensor)] = len(self._tensors)
            self._tensors.append(tensor)
        return number


class Decoder:
    """Reads one message's values; ``foreign`` gets what the other end wrote with its ``own``."""

    def __init__(self, blobs: Sequence[bytes], foreign: Foreign | None = None) -> None:
        self._blobs = blobs
        self._foreign = foreign
        tensors = load(blobs[0]) if blobs and blobs[0] else {}
        self._tensors = [tensors[str(number)] for number in range(len(tensors))]

    def value(self, wrapped: Mapping[str, Any]) -> Any:
        """What `Encoder.value` was given."""
        return self._read(wrapped["v"])

    def _read(self, found: Any) -> Any:
        if isinstance(found, list):
            return [self._read(item) for item in found]
        if not isinstance(found, dict):
            return found
        tag = found.get(_TAG)
        if tag is None:
            return {key: self._read(item) for key, item in found.items()}
        if ":" in tag:
            return self._data_class(tag, found["v"])
        if reader := _READERS.get(tag):
            return reader(self, found["v"])
        if self._foreign is None:
            raise CannotCross(f"The other process sent a {tag!r}, which is not expected here.")
        return self._foreign(found)

    def _data_class(self, tag: str, fields: Mapping[str, Any]) -> Any:
        module, _, name = tag.partition(":")
        kind = getattr(sys.modules.get(module), name, None) if f"{module}.".startswith(_PACKAGES) else None
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            raise CannotCross(f"The other process sent a value of the type {tag}, which is not known here.")
        return kind(**{key: self._read(item) for key, item in fields.items()})


_WRITERS: tuple[tuple[tuple[type, ...], Callable[[Encoder, Any], Any]], ...] = (
    ((float,), Encoder._float),
    ((Tensor,), lambda out, thing: {_TAG: "tensor", "v": out._tensor(thing)}),
    ((list,), Encoder._items),
    ((tuple,), lambda out, thing: {_TAG: "tuple", "v": out._items(thing)}),
    ((Mapping,), Encoder._mapping),
    ((set, frozenset), lambda out, thing: {_TAG: "set", "v": out._items(sorted(thing, key=repr))}),
    ((bytes, bytearray, memoryview), Encoder._raw),
    ((Path,), lambda _, thing: {_TAG: "path", "v": str(thing)}),
    ((np.ndarray,), lambda out, thing: out._array("array", thing)),
    ((np.generic,), lambda out, thing: out._array("number", thing)),
    ((Noise,), lambda _, thing: {_TAG: "noise", "v": thing.state()}),
    ((All,), lambda out, thing: {_TAG: "all", "v": out._items(thing.items)}),
    ((Emit,), lambda out, thing: {_TAG: "emit", "v": out._items(thing.events)}),
    ((CallError,), lambda out, thing: {_TAG: "call_error", "v": out._write(thing.cause)}),
    ((BaseException,), lambda _, thing: _fault(thing)),
)

_READERS: Mapping[str, Callable[[Decoder, Any], Any]] = {
    "float": lambda _, v: float(v),
    "tensor": lambda found, v: found._tensors[v],
    "tuple": lambda found, v: tuple(found._read(item) for item in v),
    "dict": lambda found, v: {found._read(key): found._read(item) for key, item in v},
    "set": lambda found, v: frozenset(found._read(item) for item in v),
    "bytes": lambda found, v: found._blobs[v],
    "path": lambda _, v: Path(v),
    "array": lambda found, v: found._tensors[v].numpy(),
    "number": lambda found, v: found._tensors[v].numpy()[()],
    "noise": lambda _, v: Noise.restored(v),
    "all": lambda found, v: All(*(found._read(item) for item in v)),
    "emit": lambda found, v: Emit(*(found._read(item) for item in v)),
    "call_error": lambda found, v: CallError(found._read(v)),
    "fault": lambda _, v: fault_of(v),
}


def _saved(tensors: Sequence[Tensor]) -> bytes:
    """One safetensors file; tensors that share memory are copied, as the format wants them."""
    if not tensors:
        return b""
    seen: set[int] = set()
    apart = {}
    for number, tensor in enumerate(tensors):
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        apart[str(number)] = plain.clone() if place in seen or plain.untyped_storage().nbytes() != plain.nbytes else plain
        seen.add(place)
    content: bytes = save(apart)
    return content


def _fault(fault: BaseException) -> Mapping[str, Any]:
    if isinstance(fault, GessoError):
        return {_TAG: "fault", "v": {"gesso": fault.to_wire()}}
    return {_TAG: "fault", "v": {"kind": type(fault).__name__, "text": str(fault)}}


def fault_of(wire: Mapping[str, Any]) -> BaseException:
    """The same error, or for one that is not Gesso's an exception of the same name, so that sentences about it read the same."""
    if "gesso" in wire:
        return GessoError.from_wire(wire["gesso"])
    if wire["kind"] in ("MemoryError", "OutOfMemoryError"):
        return MemoryError(wire["text"])
    kind: type[Exception] = type(str(wire["kind"]), (Exception,), {})
    return kind(wire["text"])
