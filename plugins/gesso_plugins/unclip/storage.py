"""Trained networks as a directory in Karlo's format, which is served like any other: the networks in half precision, the CLIP's towers
beside them, and the record of the training. The upsampler's one network lies there once, for its last step as well.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gesso.library import hashes
from gesso.library.snapshot import INDEX
from gesso.training.files import write_atomically, write_json
from gesso_plugins.unclip.config import UnclipConfig
from gesso_plugins.unclip.directory import CLIP_OF, CLIP_WEIGHTS, NETWORKS, RECORD, UPSAMPLER
from gesso_plugins.unclip.levels import PREDICTION
from gesso_plugins.unclip.networks import Clip

FOLDER = "unclip"
GUIDANCE = 2.0
"""Of the decoder: small ones do best with far less than Karlo's."""
CLIP_RANGE = 5.0
"""Standardised embeddings hold no larger numbers (Karlo's bound)."""


def save_directory(folder: Path, steps: dict[str, Any], clip: Clip, config: UnclipConfig, record: dict[str, Any]) -> int:
    """Write the directory in the place of what was there; the answer is its size in bytes."""
    decoder, upsampler = steps["decoder"], steps.get("upsampler")
    towers = {} if config.borrow else {"text_encoder": clip.text, "image_encoder": clip.eye}
    parts = {
        **towers,
        "prior": steps["prior"].network,
        "text_proj": decoder.projection,
        "decoder": decoder.network,
    }
    if upsampler is not None:
        parts[UPSAMPLER[0]] = upsampler.network
    scheduled = ("prior", "decoder", "super_res") if upsampler is not None else ("prior", "decoder")

    def write(target: Path) -> None:
        target.mkdir(parents=True)
        for name, network in parts.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what diffusers tells itself
                copy.deepcopy(network).half().save_pretrained(target / name, safe_serialization=True)
        if not config.borrow:
            clip.tokenizer.save_pretrained(target / "tokenizer")
            (target / "feature_extractor").mkdir()
            write_json(target / "feature_extractor" / "preprocessor_config.json", {"do_center_crop": clip.preparing.crop} | clip.settings)
        for part in scheduled:
            (target / f"{part}_scheduler").mkdir()
            write_json(target / f"{part}_scheduler" / "scheduler_config.json", _schedule(part, config))
        write_json(target / INDEX, _index([*parts], scheduled, config))
        write_json(target / RECORD, {**record, "guidance": GUIDANCE})

    write_atomically(folder, write)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _schedule(part: str, config: UnclipConfig) -> dict[str, Any]:
    prior = part == "prior"
    return {
        "_class_name": "UnCLIPScheduler",
        "num_train_timesteps": config.timesteps,
        "variance_type": "fixed_small_log",
        "prediction_type": PREDICTION,
        "clip_sample": True,
        "clip_sample_range": CLIP_RANGE if prior else 1.0,
        "beta_schedule": "squaredcos_cap_v2",
    }


def _index(networks: Sequence[str], scheduled: Sequence[str], config: UnclipConfig) -> dict[str, Any]:
    schedulers = {f"{part}_scheduler": ["diffusers", "UnCLIPScheduler"] for part in scheduled}
    own = {"tokenizer": ["transformers", "CLIPTokenizer"]}
    words = {CLIP_OF: hashes.shared.sha256(config.clip / CLIP_WEIGHTS)} if config.borrow else own
    return {"_class_name": "UnCLIPPipeline", **{name: list(NETWORKS[name]) for name in networks}, **schedulers, **words}
