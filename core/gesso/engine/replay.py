"""The replay log of one job: replies that cost model time, kept so that a job whose worker died goes on where it was. It is a cache:
what is not in it is computed again, to the same bits.

A record is ``length of key, length of body, CRC-32 of both | key (JSON) | body (safetensors, exact dtypes)``, appended without fsync: the
page cache outlives a process, and a tail torn by a crash of the machine is cut when the file is opened.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path as FilePath

import torch
from safetensors.torch import load, save
from torch import Tensor

from gesso.engine.calls import Call, Denoised, DenoiseGrad, Graded, NextTokens, Token

_log = logging.getLogger(__name__)
_HEAD = struct.Struct("<III")
Reply = Denoised | Graded | Token
Key = tuple[tuple[tuple[int, int], ...], int]
"""(branch path, number of the call in its branch); the job is the file."""


class ReplayLog:
    """Replies by (branch path, n). ``every``: only each n-th reply of a branch is kept; ``limit``: bytes after which nothing is added."""

    def __init__(self, path: FilePath, *, every: int = 1, limit: int = 256 * 2**20) -> None:
        self._path = path
        self._every = every
        self._limit = limit
        self._index: dict[Key, tuple[int, int]] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = self._scan()
        os.ftruncate(self._file, self._end)

    def __len__(self) -> int:
        return len(self._index)

    def get(self, key: Key, call: Call) -> Reply | None:
        """The reply to a call, or None."""
        found = self._index.get(key)
        if found is None:
            return None
        tensors = load(os.pread(self._file, found[1], found[0]))
        return _from_tensors([tensors[str(i)] for i in range(len(tensors))], call)

    def put(self, key: Key, reply: Reply) -> None:
        """Keep a reply, if it is one of those to be kept and there is room."""
        if key[1] % self._every or key in self._index or self._end >= self._limit:
            return
        body = save({str(i): tensor.detach().cpu().contiguous().clone() for i, tensor in enumerate(_to_tensors(reply))})
        name = json.dumps(key, separators=(",", ":")).encode()
        record = _HEAD.pack(len(name), len(body), zlib.crc32(body, zlib.crc32(name))) + name + body
        if self._end + len(record) > self._limit:
            return
        try:
            written = os.pwrite(self._file, record, self._end)
        except OSError as fault:
            _log.warning("replies are not logged any more: %s", fault)
            self._limit = 0
            return
        if written == len(record):
            self._index[key] = (self._end + _HEAD.size + len(name), len(body))
            self._end += written

    def close(self) -> None:
        """Keep the file for a later start."""
        os.close(self._file)

    def delete(self) -> None:
        """Close and remove the file; the job has ended."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def _scan(self) -> int:
        at, size = 0, os.fstat(self._file).st_size
        while at + _HEAD.size <= size:
            names, bodies, crc = _HEAD.unpack(os.pread(self._file, _HEAD.size, at))
            start = at + _HEAD.size
            if start + names + bodies > size:
                break
            content = os.pread(self._file, names + bodies, start)
            if len(content) != names + bodies or zlib.crc32(content) != crc:
                break
            branch, number = json.loads(content[:names])
            self._index[(tuple((yielded, item) for yielded, item in branch), number)] = (start + names, bodies)
            at = start + names + bodies
        return at


def _to_tensors(reply: Reply) -> Sequence[Tensor]:
    if isinstance(reply, Denoised):
        return reply.predictions
    if isinstance(reply, Token):
        return torch.tensor(reply.number), torch.tensor(reply.log_probability, dtype=torch.float64)
    return (*reply.denoised.predictions, torch.tensor(reply.losses, dtype=torch.float64), *reply.gradients)


def _from_tensors(tensors: Sequence[Tensor], call: Call) -> Reply:
    if isinstance(call, DenoiseGrad):
        rows = len(call.denoise.conds)
        predictions, losses, gradients = tensors[:rows], tensors[rows], tensors[rows + 1 :]
        return Graded(Denoised(predictions[0], predictions[-1], tuple(predictions)), tuple(losses.tolist()), tuple(gradients))
    if isinstance(call, NextTokens):
        return Token(int(tensors[0]), float(tensors[1]))
    return Denoised(tensors[0], tensors[-1], tuple(tensors))
