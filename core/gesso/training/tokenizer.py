"""A byte-pair vocabulary of a model's own: learned from captions, kept as a genuine `CLIPTokenizer`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"


def train_tokenizer(captions: Iterable[str], *, vocabulary: int, length: int) -> CLIPTokenizer:
    """Learn up to `vocabulary` entries; a prompt holds `length` of them.

    Every byte is in it, inside and at the end of a word, so every prompt can be read.
    """
    blank = CLIPTokenizer().backend_tokenizer
    backend = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=WORD_END, unk_token=END))
    backend.normalizer = blank.normalizer
    backend.pre_tokenizer = blank.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(letters),
        special_tokens=[START, END],
        initial_alphabet=letters,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    backend.train_from_iterator(captions, trainer)
    state = json.loads(backend.to_str())["model"]
    entries: dict[str, int] = state["vocab"]
    for letter in letters:
        entries.setdefault(letter + WORD_END, len(entries))
    merges = [tuple(merge) for merge in state["merges"]]
    return CLIPTokenizer(vocab=entries, merges=merges, model_max_length=length)


def encode(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> torch.Tensor:
    """Token ids padded to the model's length, as the diffusers pipeline makes them."""
    ids: torch.Tensor = tokenizer(
        list(captions), padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids
    return ids
