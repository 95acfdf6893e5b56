"""The command of unCLIP, called with its arguments and a source of captioned renders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.training.arguments import Training, has_checkpoint, refuse_mixture, train_parser
from gesso.training.variety import LAYOUTS

if TYPE_CHECKING:
    from gesso.plugin.datasets import CaptionedSource

ABOUT = "Train an unCLIP on captioned renders: prior, decoder and upsampler, one after the other."
TRAINING = Training("unclip", ABOUT, steps=4_000, layouts=LAYOUTS, folders=True)


def train(argv: Sequence[str], source: CaptionedSource, clip: Path) -> int:
    """`gesso train unclip`. ``clip``: the CLIP that is taken where none is named."""
    parser = train_parser(TRAINING)
    option = parser.add_argument
    option("--half", action="store_true", help="compute in bfloat16: twice as fast where the processor multiplies it natively")
    option("--clip", type=Path, default=clip, help="directory of a transformers CLIPModel (default: the one that ships)")
    option("--borrow-clip", action="store_true", help="leave the CLIP that ships out of what is written: 2.7 MB in the place of 7")
    option("--no-upsampler", action="store_true", help="make pictures of 64 pixels with the decoder alone, in two stages")
    options = parser.parse_args(argv)
    refuse_mixture(parser, options, TRAINING)
    from gesso.training.materials import MATERIALS
    from gesso.training.pictures import chosen
    from gesso_plugins.unclip.config import STAGES, DataConfig, NetworkConfig, UnclipConfig

    begun = any(has_checkpoint(options.out / stage) for stage in STAGES)
    if begun and not options.go_on:
        parser.error(f"{options.out} holds a run: add --continue to go on with it, or choose another --out")
    if options.go_on and not begun:
        parser.error(f"{options.out} holds no run that could be gone on with: leave out --continue")
    if options.borrow_clip and options.clip != clip:
        parser.error("--borrow-clip leaves out the CLIP that ships: leave out --clip")
    from gesso_plugins.unclip.train import train_unclip

    materials = () if options.data else tuple(options.materials or MATERIALS)
    data = DataConfig(materials=materials, layouts=0 if options.data else options.layouts, workers=options.workers)
    config = UnclipConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        half=options.half,
        borrow=options.borrow_clip,
        clip=options.clip,
        network=NetworkConfig(image=64, factor=1) if options.no_upsampler else NetworkConfig(),
        zero_padding_share=1.0 if options.data else UnclipConfig.zero_padding_share,
        data=data,
    )
    print(train_unclip(chosen(options, source), config))
    return 0
