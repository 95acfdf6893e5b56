"""The ambient state of the process (grad mode, autocast, default dtype and device, global random numbers ...): what it must be, whether
somebody changed it, and how to put it back. It blames nobody; the engine does.
"""

from __future__ import annotations

import ctypes
import random
import struct
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch

_MT19937_BYTES = 624 * 4 + 4  # numpy's mt19937_state: uint32 key[624]; int pos
_Words = ctypes.c_char * _MT19937_BYTES
_STANDING: AbstractContextManager[None] = nullcontext()
_PYTHON: Any = random.getstate.__self__  # type: ignore[attr-defined]  # the generator behind the module's functions


class _Flags(NamedTuple):
    gradient_mode: bool
    inference_mode: bool
    autocast_cpu: bool
    autocast_cuda: bool
    default_dtype: torch.dtype
    default_device: torch.device | None
    function_modes: int
    dispatch_modes: int
    thread_count: int
    deterministic: bool
    matmul_precision: str
    onednn: bool


def _flags() -> _Flags:
    return _Flags(*_flags_now())


def _flags_now() -> tuple[Any, ...]:
    """The same without names, which are needed only where something differs."""
    modes = torch._C._len_torch_function_stack()
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_enabled("cuda"),
        torch.get_default_dtype(),
        torch.get_default_device() if modes else None,  # a default device is one of the function modes
        modes,
        torch._C._len_torch_dispatch_stack(),
        torch.get_num_threads(),
        torch._C._get_deterministic_algorithms(),
        torch._C._get_float32_matmul_precision(),
        torch._C._get_mkldnn_enabled(),
    )


class Ambient:
    """The state as it was when this was made; look at it only `within` the same context."""

    def __init__(self) -> None:
        self._torch = torch.get_rng_state()
        self._torch_bytes = self._torch.numpy().tobytes()
        self._numpy: Any = np.random.get_state(legacy=False)
        self._numpy_bits = np.random.mtrand.get_bit_generator()
        mersenne = isinstance(self._numpy_bits, np.random.MT19937)
        self._numpy_words = _Words.from_address(self._numpy_bits.ctypes.state_address) if mersenne else None
        self._numpy_bytes = self._numpy_now()
        self._python = random.getstate()
        self._python_words = _python_words()
        self._python_bytes = self._python_now()
        self._cuda = _cuda_states()
        with self.within():
            self._flags = _flags()

    def within(self) -> AbstractContextManager[None]:
        """The context in which generators and calls run: no gradients. Nothing is to be done where one stands in it already."""
        return torch.no_grad() if torch.is_grad_enabled() else _STANDING

    def leaks(self) -> list[str]:
        """Names of what differs now; called `within`. About 8 microseconds."""
        found = []
        if _flags_now() != self._flags:
            now = _flags()
            found = [name.replace("_", " ") for name in _Flags._fields if getattr(now, name) != getattr(self._flags, name)]
        state = torch.default_generator.get_state()
        if ctypes.string_at(state.data_ptr(), state.nbytes) != self._torch_bytes:  # half of what a view by numpy takes
            found.append("torch's global random numbers")
        if np.random.mtrand.get_bit_generator() is not self._numpy_bits or self._numpy_now() != self._numpy_bytes:
            found.append("numpy's global random numbers")
        if self._python_differs():
            found.append("Python's global random numbers")
        if self._cuda and not all(map(torch.equal, _cuda_states(), self._cuda)):
            found.append("the GPU's global random numbers")
        return found

    def restore(self) -> None:
        """Put everything back, after the generators that hold contexts were closed; called `within`."""
        was = self._flags
        torch.set_grad_enabled(was.gradient_mode)
        if torch.is_inference_mode_enabled() != was.inference_mode:
            _LEFT_OPEN.append(torch._C._InferenceMode(was.inference_mode))
        torch.set_autocast_enabled("cpu", was.autocast_cpu)
        torch.set_autocast_enabled("cuda", was.autocast_cuda)
        torch.set_default_dtype(was.default_dtype)
        self._restore_modes()
        torch.set_num_threads(was.thread_count)
        torch.use_deterministic_algorithms(was.deterministic)
        torch.set_float32_matmul_precision(was.matmul_precision)
        torch._C._set_mkldnn_enabled(was.onednn)
        torch.set_rng_state(self._torch)
        np.random.mtrand.set_bit_generator(self._numpy_bits)
        np.random.set_state(self._numpy)
        random.setstate(self._python)
        for generator, state in zip(torch.cuda.default_generators, self._cuda, strict=False):
            generator.set_state(state)

    def _restore_modes(self) -> None:
        if _flags().default_device != self._flags.default_device:
            torch.set_default_device(None)  # takes its own mode off the stack
            if _flags().default_device != self._flags.default_device:
                torch.set_default_device(self._flags.default_device)
        while torch._C._len_torch_function_stack() > self._flags.function_modes:
            torch._C._pop_torch_function_stack()
        while torch._C._len_torch_dispatch_stack() > self._flags.dispatch_modes:
            torch._C._pop_torch_dispatch_stack(None)

    def _numpy_now(self) -> bytes:
        # get_state() takes 70 microseconds, reading the same bytes in place less than one.
        return b"" if self._numpy_words is None else self._numpy_words.raw

    def _python_now(self) -> bytes:
        return b"" if self._python_words is None else self._python_words.raw

    def _python_differs(self) -> bool:
        if self._python_words is not None:
            # gauss() keeps a second number, beside the words.
            return self._python_words.raw != self._python_bytes or getattr(_PYTHON, "gauss_next", None) != self._python[2]
        return random.getstate() != self._python


def _python_words() -> ctypes.Array[ctypes.c_char] | None:
    """The words of Python's generator: behind the head of its object lie ``int index; uint32_t state[624]``. getstate() makes 625
    integers in 9 microseconds, reading in place takes half of one. None where what lies there is not what getstate() says.
    """
    if type(_PYTHON).__basicsize__ - object.__basicsize__ < _MT19937_BYTES:
        return None
    words = _Words.from_address(id(_PYTHON) + object.__basicsize__)
    *state, index = random.getstate()[1]
    return words if words.raw == struct.pack("=i624I", index, *state) else None


def _cuda_states() -> list[torch.Tensor]:
    """Seed and offset of every GPU's global generator; they lie in the host's memory. None before CUDA is in use."""
    ready = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [generator.get_state() for generator in torch.cuda.default_generators] if ready else []


_LEFT_OPEN: list[Any] = []
"""Inference mode has no setter: a leak is undone by entering its opposite and keeping that context alive."""
