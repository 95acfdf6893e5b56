"""The prompts that a user has sent from one host, newest first, in a small file. It keeps words only, and only on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import List

from gesso.wire.home import Home, make_private

LONGEST = 100


class History:
    """``host`` names the file. What cannot be read or written is forgotten: a history is not worth an error."""

    def __init__(self, host: str, home: Home) -> None:
        self.path: Path = home.state / "bridges" / f"{host}-prompts.json"
        self._prompts = self._read()

    @property
    def prompts(self) -> List[str]:
        """The newest first, each once."""
        return list(self._prompts)

    def add(self, prompt: str) -> None:
        """A prompt was sent."""
        prompt = prompt.strip()
        if prompt and self._prompts[:1] != [prompt]:
            self._prompts = [prompt, *(old for old in self._prompts if old != prompt)][:LONGEST]
            self._write()

    def clear(self) -> None:
        """Forget them all."""
        self._prompts = []
        self._write()

    def _read(self) -> List[str]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [text for text in found if isinstance(text, str)][:LONGEST] if isinstance(found, list) else []

    def _write(self) -> None:
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            make_private(self.path.parent.parent)
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            draft.write_text(json.dumps(self._prompts, ensure_ascii=False), encoding="utf-8")
            os.replace(draft, self.path)
        except OSError:
            return
