"""What the configurations of a directory say of its parts, for the card. What does not fit is refused before any weight is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gesso.errors import ModelError
from gesso.model import Cascade, Defaults, Latent, Limits, Part
from gesso.model.border import parametrisation_of
from gesso_plugins.unclip.directory import HINT, UPSAMPLER, Directory

PRIOR_STEPS, DECODER_STEPS, UPSAMPLER_STEPS = 25, 25, 7
PRIOR_GUIDANCE, DECODER_GUIDANCE = 4.0, 8.0
"""What Karlo's pipelines do where they are told nothing."""
LARGEST = 4
"""How many times its trained size a picture may be: the networks are convolutional, and what they know ends sooner or later."""


def cascade_of(directory: Directory) -> Cascade:
    """The parts; ModelError where they do not fit."""
    text, projection, decoder = (directory.settings(name) for name in ("text_encoder", "text_proj", "decoder"))
    width = int(projection.get("clip_embeddings_dim", 0))
    _same(directory, {"text_proj takes embeddings": width, "text_encoder projects to": text.get("projection_dim")})
    _same(
        directory,
        {"the decoder listens to": decoder.get("cross_attention_dim"), "text_proj answers with": projection.get("cross_attention_dim")},
    )
    if directory.has("image_encoder"):
        seen = directory.settings("image_encoder").get("projection_dim")
        _same(directory, {"text_proj takes embeddings": width, "image_encoder projects to": seen})
    if decoder.get("class_embed_type") != "identity":
        raise ModelError(f"The decoder in {directory.path} takes no embedding beside its time (class_embed_type).", hint=HINT)
    return Cascade(
        width,
        part_of(directory, "decoder", decoder, (DECODER_STEPS, guidance_of(directory))),
        _prior(directory, width) if directory.has("prior") else None,
        _upsampler(directory) if directory.has(UPSAMPLER[0]) else None,
    )


def guidance_of(directory: Directory) -> float:
    """Of the decoder: what its training says, or Karlo's; ModelError for what is no number from 0 to 100."""
    found = directory.record.get("guidance", DECODER_GUIDANCE)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 100:
        raise ModelError(
            f"The record in {directory.path} gives {str(found)[:40]!r} as the guidance; it is a number from 0 to 100.", hint=HINT
        )
    return float(found)


def _prior(directory: Directory, width: int) -> Part:
    settings, text = directory.settings("prior"), directory.settings("text_encoder")
    answers = settings.get("clip_embed_dim") or settings.get("embedding_dim")
    _same(directory, {"text_proj takes embeddings": width, "prior answers with": answers})
    _same(directory, {"prior reads words": settings.get("num_embeddings"), "text_encoder gives": text.get("max_position_embeddings")})
    return part_of(directory, "prior", {}, (PRIOR_STEPS, PRIOR_GUIDANCE))


def _upsampler(directory: Directory) -> Part:
    first, last = (directory.settings(name if directory.has(name) else UPSAMPLER[0]) for name in UPSAMPLER)
    channels = directory.settings("decoder").get("in_channels")
    for settings in (first, last):
        _same(directory, {"the upsampler takes channels": settings.get("in_channels"), "two pictures have": 2 * int(channels or 0)})
    _same(directory, {"super_res_first makes pixels": first.get("sample_size"), "super_res_last makes": last.get("sample_size")})
    return part_of(directory, "super_res", {**first, "in_channels": channels}, (UPSAMPLER_STEPS, 1.0))


def part_of(directory: Directory, name: str, network: Mapping[str, Any], usual: tuple[int, float]) -> Part:
    """A part by its scheduler: its noise levels, its bounds, and whether its network answers with a spread."""
    schedule = directory.schedule(name)
    kind = schedule.get("variance_type", "fixed_small_log")
    if kind not in ("fixed_small_log", "learned_range"):
        raise ModelError(
            f"The {name} of {directory.path} has the variance {kind!r}; known are fixed_small_log and learned_range.", hint=HINT
        )
    spread = kind == "learned_range"
    if network or spread:
        given, out = int(network.get("in_channels", 1)), int(network.get("out_channels", 1))
        _same(directory, {f"the {name} answers with channels": out, f"the variance {kind} asks for": given * (2 if spread else 1)})
    clip = float(schedule.get("clip_sample_range", 1.0)) if schedule.get("clip_sample", True) else None
    levels = parametrisation_of({**schedule, "beta_schedule": schedule.get("beta_schedule", "squaredcos_cap_v2")})
    return Part(levels, usual[0], usual[1], clip, spread)


def sizes_of(directory: Directory) -> tuple[Latent, Limits, Defaults]:
    """What the decoder makes of a picture's pixels, and which sizes can be."""
    decoder = directory.settings("decoder")
    small, deep = int(decoder.get("sample_size") or 64), 2 ** (len(decoder.get("block_out_channels", [0])) - 1)
    side, multiple = small, deep
    if directory.has(UPSAMPLER[0]):
        upsampler = directory.settings(UPSAMPLER[0])
        side = int(upsampler.get("sample_size") or small)
        if side % small or side < small:
            raise ModelError(f"The upsampler in {directory.path} makes {side} pixels of {small}, which is no whole factor.", hint=HINT)
        multiple = math.lcm(deep * (side // small), 2 ** (len(upsampler.get("block_out_channels", [0])) - 1))
    factor = side // small
    defaults = Defaults("ddpm", "linspace", DECODER_STEPS, guidance_of(directory), side, side)
    return Latent(int(decoder.get("in_channels") or 3), factor), Limits(side, LARGEST * side, multiple), defaults


def _same(directory: Directory, said: Mapping[str, object]) -> None:
    """ModelError where two settings that must agree do not."""
    (one, first), (other, second) = said.items()
    if first != second:
        raise ModelError(f"The parts in {directory.path} do not fit together: {one} {first}, but {other} {second}.", hint=HINT)
