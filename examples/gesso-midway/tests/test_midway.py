"""What Gesso relies on in every sampler, and that this one makes pictures."""

from collections.abc import Callable
from pathlib import Path

import torch
from gesso.client import Client
from gesso.testing import Studio, Wavy, check_operation, check_sampler, trace

import gesso_midway
from gesso_midway.plugin import midway

MANIFEST = Path(gesso_midway.__file__).with_name("plugin_manifest.toml")


def test_the_sampler_can_be_relied_on() -> None:
    check_sampler(midway)


def test_it_asks_twice_a_step(fake_denoiser: Callable[[], Wavy]) -> None:
    asked = trace(midway, fake_denoiser(), torch.ones(1, 4, 8, 8), [4.0, 2.0, 0.0])
    assert asked.levels == (4.0, 3.0, 2.0, 1.0)


def test_it_makes_pictures(studio: Studio) -> None:
    studio.plugin(MANIFEST)
    params = {"prompt": "red brick", "model": "starter", "sampler": "midway.midway", "steps": 2, "width": 64, "height": 64, "seed": 1}
    made = check_operation(studio, "generate", params)
    assert made.outputs[0].pixels.shape == (64, 64, 3)


def test_a_daemon_runs_it(in_process_daemon: Callable[[Path], Client]) -> None:
    client = in_process_daemon(MANIFEST)
    params = {"prompt": "red brick", "model": "starter", "steps": 2, "width": 64, "height": 64, "seed": 1}
    job = client.submit("generate", params, sampler="midway.midway")
    assert job.result().images[0].shape == (64, 64, 3)
