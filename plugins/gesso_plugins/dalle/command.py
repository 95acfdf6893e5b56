"""The command of this family, called with its arguments and a source of captioned renders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.training.arguments import Training, has_checkpoint, refuse_mixture, refuse_overwriting, train_parser
from gesso.training.variety import LAYOUTS

if TYPE_CHECKING:
    from gesso.plugin.datasets import CaptionedSource

ABOUT = "Train a discrete autoencoder, then a transformer that draws its tokens after words, on captioned renders of 64 pixels."
TRAINING = Training("dalle", ABOUT, steps=6_000, layouts=LAYOUTS, folders=True)


def train(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso train dalle`."""
    parser = train_parser(TRAINING)
    option = parser.add_argument
    option("--from", dest="start", type=Path, help="a file that this command wrote, to start a new run from")
    option("--autoencoder-steps", type=int, default=1_500, help="how many of the steps are the autoencoder's (default: %(default)s)")
    option("--half", action="store_true", help="compute in bfloat16; quicker where the processor multiplies it natively")
    options = parser.parse_args(argv)
    refuse_mixture(parser, options, TRAINING)
    refuse_overwriting(parser, options)
    if options.go_on and not has_checkpoint(options.out):
        parser.error(f"{options.out} holds no run that could be gone on with: leave out --continue")
    if options.go_on and options.start is not None:
        parser.error("--continue goes on from the run's own checkpoint: leave out --from")
    if options.autoencoder_steps < 1:
        parser.error("--autoencoder-steps: a transformer needs tokens, so let the autoencoder learn for one step at least")
    from gesso.training.materials import MATERIALS
    from gesso.training.pictures import chosen
    from gesso_plugins.dalle.config import AutoencoderConfig, DalleConfig, DataConfig
    from gesso_plugins.dalle.train import train_dalle

    materials = () if options.data else tuple(options.materials or MATERIALS)
    data = DataConfig(materials=materials, layouts=0 if options.data else options.layouts, workers=options.workers)
    config = DalleConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        half=options.half,
        autoencoder=AutoencoderConfig(steps=options.autoencoder_steps),
        data=data,
    )
    print(train_dalle(chosen(options, source), config, options.start))
    return 0
