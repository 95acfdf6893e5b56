"""The command `gesso train style`, called with its arguments and a source of renders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gesso.training.arguments import Training, refuse_overwriting, train_parser

if TYPE_CHECKING:
    from gesso.plugin.datasets import CaptionedSource

ABOUT = "Train the network that gives one picture the look of another, on scenes and paintings that it draws itself."
TRAINING = Training("style", ABOUT, steps=1_250, beside=False)


def train(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso train style`."""
    parser = train_parser(TRAINING)
    parser.add_argument("--feature-steps", type=int, default=300, help="how many steps are the encoder's (default: %(default)s)")
    options = parser.parse_args(argv)
    refuse_overwriting(parser, options)
    if not 0 < options.feature_steps < options.steps:
        parser.error(f"--feature-steps must lie between 0 and the {options.steps} steps in all")
    from gesso_plugins.style.learning.config import StyleConfig
    from gesso_plugins.style.learning.train import train_style

    config = StyleConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        feature_steps=options.feature_steps,
    )
    print(train_style(source, config))
    return 0
