"""Work beside a training: a low-priority process of its own that ends with its parent."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from gesso.plugin.datasets import CaptionedSource
from gesso.training.renders import RenderStore, Request

Alone = Callable[[], bool]
"""Whether the process that asked has gone."""


def start_beside(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Run `work(*arguments, alone)` in a spawned process, one thread, five degrees nicer; `alone()` says when to stop."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_quietly, args=(work, arguments, os.getpid()), daemon=True, name="gesso-beside")
    process.start()
    return process


def grow_renders(source: CaptionedSource, store: RenderStore, request: Request, count: int, alone: Alone) -> None:
    """Draw shards of renders until there are `count` samples."""
    for number in range(-(-count // store.shard)):
        if alone():
            return
        if not store.path(request.universe, request.size, number).exists():
            store.render_shard(source, request, number)


def _quietly(work: Callable[..., None], arguments: tuple[Any, ...], parent: int) -> None:
    os.nice(5)
    torch.set_num_threads(1)
    work(*arguments, partial(_alone, parent))


def _alone(parent: int) -> bool:
    return os.getppid() != parent
