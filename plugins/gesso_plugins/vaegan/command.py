"""The command of the VAE-GAN, called with its arguments and a source of captioned renders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.training.arguments import Training, has_checkpoint, refuse_mixture, refuse_overwriting, train_parser
from gesso.training.variety import LAYOUTS

if TYPE_CHECKING:
    from gesso.plugin.datasets import CaptionedSource

ABOUT = "Train a VAE-GAN, which makes a picture in one forward, on captioned renders of 64 pixels."
TRAINING = Training("vaegan", ABOUT, steps=3_000, layouts=LAYOUTS, folders=True)


def train(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso train vaegan`."""
    parser = train_parser(TRAINING)
    option = parser.add_argument
    option("--from", dest="start", type=Path, help="a file that this command wrote, to start a new run from")
    option("--half", action="store_true", help="compute in bfloat16; quicker where the processor multiplies it natively")
    about = "what the critic is: of log-likelihoods with spectral norm, or Wasserstein's with gradient penalty (default: %(default)s)"
    option("--adversary", choices=("bce", "wasserstein"), default="bce", help=about)
    options = parser.parse_args(argv)
    refuse_mixture(parser, options, TRAINING)
    refuse_overwriting(parser, options)
    if options.go_on and not has_checkpoint(options.out):
        parser.error(f"{options.out} holds no run that could be gone on with: leave out --continue")
    if options.go_on and options.start is not None:
        parser.error("--continue goes on from the run's own checkpoint: leave out --from")
    from gesso.training.materials import MATERIALS
    from gesso.training.pictures import chosen
    from gesso_plugins.vaegan.config import DataConfig, LossConfig, NetworkConfig, VaeganConfig
    from gesso_plugins.vaegan.train import train_vaegan

    materials = () if options.data else tuple(options.materials or MATERIALS)
    data = DataConfig(materials=materials, layouts=0 if options.data else options.layouts, workers=options.workers)
    config = VaeganConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        half=options.half,
        loss=LossConfig(adversary=options.adversary),
        network=NetworkConfig(spectral=options.adversary == "bce"),
        zero_padding_share=1.0 if options.data else VaeganConfig.zero_padding_share,
        data=data,
    )
    print(train_vaegan(chosen(options, source), config, options.start))
    return 0
