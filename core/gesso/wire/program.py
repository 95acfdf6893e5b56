"""`program.json`: how the Gesso that ran here last or installed a bridge is started: a host's path seldom names it."""

from __future__ import annotations

import json
import os
import tempfile
from typing import List, Optional, Sequence

from ..errors import UnsafeState
from .home import Home, check_private

_LARGEST = 65536


def remember(home: Home, words: Sequence[str]) -> None:
    """Write ``words``, the program's absolute path first, atomically and only if they are new; raises OSError or UnsafeState."""
    if remembered(home) == list(words):
        return
    handle, name = tempfile.mkstemp(prefix=".program-", dir=str(home.state))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(list(words), file)
        os.replace(name, home.program_file)
    except BaseException:
        os.unlink(name)
        raise


def remembered(home: Home) -> Optional[List[str]]:
    """The words that start `gesso`, or None where none were written, the file is not its owner's alone, or the program has gone."""
    try:
        check_private(home.state)
        check_private(home.program_file)
        with open(home.program_file, "rb") as file:
            words = json.loads(file.read(_LARGEST))
    except (OSError, UnsafeState, ValueError, RecursionError):
        return None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return None
    return words if os.path.isabs(words[0]) and os.access(words[0], os.X_OK) else None
