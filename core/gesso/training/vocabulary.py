"""A byte-pair vocabulary as text, so that it can lie beside a run and travel in the metadata of a file. It learns none: see `tokenizer`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from transformers import CLIPTokenizer

from gesso.errors import DataError
from gesso.training.files import read_json, write_text
from gesso.training.tokenizer import train_tokenizer

NAME = "vocabulary.json"
HINT = "Put it back, or choose another --out."


def spelled(tokenizer: CLIPTokenizer) -> str:
    """A vocabulary as JSON."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    whole = {"entries": state["vocab"], "merges": state["merges"], "length": tokenizer.model_max_length}
    return json.dumps(whole, sort_keys=True)


def read_vocabulary(text: str) -> CLIPTokenizer:
    """What `spelled` wrote; ValueError, KeyError or TypeError for anything else."""
    whole = json.loads(text)
    entries, length = whole["entries"], whole["length"]
    if sorted(entries.values()) != list(range(len(entries))) or type(length) is not int or not 2 <= length <= 1024:
        raise ValueError("its entries are not numbered")
    merges = [(str(first), str(second)) for first, second in whole["merges"]]
    return CLIPTokenizer(vocab=entries, merges=merges, model_max_length=length)


def digest(tokenizer: CLIPTokenizer) -> str:
    """A vocabulary's own name."""
    return hashlib.sha256(spelled(tokenizer).encode()).hexdigest()[:16]


def keep(folder: Path, tokenizer: CLIPTokenizer) -> None:
    """Lay a vocabulary into the folder of a run."""
    write_text(folder / NAME, spelled(tokenizer))


def kept(folder: Path, captions: Iterable[str], *, vocabulary: int, length: int) -> CLIPTokenizer:
    """The vocabulary of a run: the one in its folder, else one learned of captions and kept there. DataError: it cannot be read."""
    path = folder / NAME
    if not path.exists():
        keep(folder, train_tokenizer(captions, vocabulary=vocabulary, length=length))
    try:
        return read_vocabulary(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as fault:
        raise DataError(f"The vocabulary {path} cannot be read: {fault}.", hint=HINT) from fault


def refuse_other_words(folder: Path, tokenizer: CLIPTokenizer) -> None:
    """DataError where the words in the folder are not those that the checkpoint beside them learned (``vocabulary`` of its facts)."""
    if read_json(folder / "checkpoint" / "state.json").get("vocabulary") != digest(tokenizer):
        raise DataError(f"The vocabulary {folder / NAME} is not the one that the run learned with.", hint=HINT)
