r"""Weights within a prompt, in the notation that artists know from AUTOMATIC1111 and ComfyUI. It knows words, not tokens.

(word)        1.1 times            [word]        1 / 1.1 times        (word:1.3)    1.3 times; brackets nest and multiply
\( \) \[ \]   the characters         BREAK         what follows starts a new chunk of the encoder's window
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gesso.errors import InvalidRequest

STEP = 1.1
LARGEST = 10.0
_PIECES = re.compile(r"\\[()\[\]\\]|[()\[\]]|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)|\bBREAK\b|[^\\()\[\]:B]+|.", re.DOTALL)
_CLOSING = {")": "(", "]": "["}


@dataclass
class Part:
    """Some words and their weight; ``breaks`` where a new chunk starts before them."""

    text: str
    weight: float = 1.0
    breaks: bool = False


def parse(prompt: str) -> list[Part]:
    """The parts of a prompt in order. A bracket that nothing closes works to the end; one that closes nothing is an ordinary character."""
    parts = [Part("")]
    opened: list[tuple[str, int]] = []
    for piece in _PIECES.findall(prompt):
        if piece in ("(", "["):
            opened.append((piece, len(parts)))
            parts.append(Part(""))
        elif opened and _closes(piece) == opened[-1][0]:
            bracket, start = opened.pop()
            _weigh(parts[start:], _factor(piece, bracket))
            parts.append(Part(""))
        elif piece == "BREAK":
            parts.append(Part("", breaks=True))
        else:
            parts[-1].text += piece[1:] if len(piece) == 2 and piece[0] == "\\" else piece
    for bracket, start in opened:
        _weigh(parts[start:], _factor("", bracket))
    return _joined(parts)


def _closes(piece: str) -> str:
    return _CLOSING.get(piece[-1], "") if piece in _CLOSING or piece[0] == ":" else ""


def _factor(piece: str, bracket: str) -> float:
    if not piece.startswith(":"):
        return STEP if bracket == "(" else 1 / STEP
    factor = float(piece[1:-1])
    if abs(factor) > LARGEST:
        raise InvalidRequest(f"The weight {factor:g} in the prompt is too large; weights go up to {LARGEST:g}.", field="prompt")
    return factor


def _weigh(parts: list[Part], factor: float) -> None:
    for part in parts:
        part.weight *= factor


def _joined(parts: list[Part]) -> list[Part]:
    """Without empty parts, and with neighbours of equal weight as one."""
    joined: list[Part] = []
    pending = False
    for part in parts:
        pending = pending or part.breaks
        if not part.text.strip():
            continue
        if joined and not pending and joined[-1].weight == part.weight:
            joined[-1].text += part.text
        else:
            joined.append(Part(part.text, part.weight, pending and bool(joined)))
        pending = False
    return joined or [Part("")]
