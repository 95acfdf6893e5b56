"""The prompts that a user has sent from one host, newest first, in a small file. It keeps words only, and only on this machine."""

from __future__ import annotations

from typing import List

from gesso.wire.home import Home

from .kept import Kept

LONGEST = 100


class History:
    """``host`` names the file."""

    def __init__(self, host: str, home: Home) -> None:
        self._file = Kept(home, f"{host}-prompts")
        found = self._file.read()
        self._prompts = [text for text in found if isinstance(text, str)][:LONGEST] if isinstance(found, list) else []

    @property
    def prompts(self) -> List[str]:
        """The newest first, each once."""
        return list(self._prompts)

    def add(self, prompt: str) -> None:
        """A prompt was sent."""
        prompt = prompt.strip()
        if prompt and self._prompts[:1] != [prompt]:
            self._prompts = [prompt, *(old for old in self._prompts if old != prompt)][:LONGEST]
            self._file.write(self._prompts)

    def clear(self) -> None:
        """Forget them all."""
        self._prompts = []
        self._file.write(self._prompts)
