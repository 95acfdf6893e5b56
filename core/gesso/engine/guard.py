"""The ambient state of the process (grad mode, autocast, default dtype and device, global random numbers ...): what it must be, whether
somebody changed it, and how to put it back. It blames nobody; the engine does.
"""

from __future__ import annotations

import ctypes
import random
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch

_MT19937_BYTES = 624 * 4 + 4  # numpy's mt19937_state: uint32 key[624]; int pos


class _Flags(NamedTuple):
    gradient_mode: bool
    inference_mode: bool
    autocast_cpu: bool
    autocast_cuda: bool
    default_dtype: torch.dtype
    default_device: torch.device
    function_modes: int
    dispatch_modes: int
    thread_count: int
    deterministic: bool
    matmul_precision: str


def _flags() -> _Flags:
    return _Flags(
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_enabled("cuda"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch._C._len_torch_function_stack(),
        torch._C._len_torch_dispatch_stack(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
    )


class Ambient:
    """The state as it was when this was made; look at it only `within` the same context."""

    def __init__(self) -> None:
        self._torch = torch.get_rng_state()
        self._torch_bytes = self._torch.numpy().tobytes()
        self._numpy: Any = np.random.get_state(legacy=False)
        self._numpy_bits = np.random.mtrand.get_bit_generator()
        self._numpy_address = int(self._numpy_bits.ctypes.state_address) if isinstance(self._numpy_bits, np.random.MT19937) else None
        self._numpy_bytes = self._numpy_now()
        self._python = random.getstate()
        with self.within():
            self._flags = _flags()

    def within(self) -> AbstractContextManager[None]:
        """The context in which generators and calls run: no gradients."""
        return torch.no_grad()

    def leaks(self) -> list[str]:
        """Names of what differs now; called `within`. About 30 microseconds."""
        now = _flags()
        found = []
        if now != self._flags:
            found = [name.replace("_", " ") for name in _Flags._fields if getattr(now, name) != getattr(self._flags, name)]
        if torch.get_rng_state().numpy().tobytes() != self._torch_bytes:
            found.append("torch's global random numbers")
        if np.random.mtrand.get_bit_generator() is not self._numpy_bits or self._numpy_now() != self._numpy_bytes:
            found.append("numpy's global random numbers")
        if self._python_differs():
            found.append("Python's global random numbers")
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
        torch.set_rng_state(self._torch)
        np.random.mtrand.set_bit_generator(self._numpy_bits)
        np.random.set_state(self._numpy)
        random.setstate(self._python)

    def _restore_modes(self) -> None:
        if _flags().default_device != self._flags.default_device:
            torch.set_default_device(None)  # takes its own mode off the stack
            if torch.get_default_device() != self._flags.default_device:
                torch.set_default_device(self._flags.default_device)
        while torch._C._len_torch_function_stack() > self._flags.function_modes:
            torch._C._pop_torch_function_stack()
        while torch._C._len_torch_dispatch_stack() > self._flags.dispatch_modes:
            torch._C._pop_torch_dispatch_stack(None)

    def _numpy_now(self) -> bytes:
        # get_state() takes 70 microseconds, reading the same bytes in place takes one.
        return b"" if self._numpy_address is None else ctypes.string_at(self._numpy_address, _MT19937_BYTES)

    def _python_differs(self) -> bool:
        now, was = random.getstate(), self._python
        # Every draw moves the position (word 624) or renews the words; every reseeding changes the first word.
        return (now[1][0], now[1][623], now[1][624], now[2]) != (was[1][0], was[1][623], was[1][624], was[2])


_LEFT_OPEN: list[Any] = []
"""Inference mode has no setter: a leak is undone by entering its opposite and keeping that context alive."""
