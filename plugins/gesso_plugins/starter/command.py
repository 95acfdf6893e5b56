"""The commands of the starter, called with their arguments and a source of captioned renders."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.training.arguments import Training, has_checkpoint, not_negative, refuse_overwriting, train_parser
from gesso.training.variety import LAYOUTS

if TYPE_CHECKING:
    from gesso.plugin.datasets import CaptionedSource
    from gesso_plugins.starter.classifier import Judge
    from gesso_plugins.starter.config import TrainConfig

DEFAULT_OUT = Path("runs/starter")
RESUMES = "go on from the run's checkpoint, else from the shipped weights"
TRAINING = Training("starter", "Train the starter model on captioned renders.", steps=None, resumes=RESUMES, layouts=LAYOUTS)
JUDGE_FILE = "classifier.safetensors"
PROMPTS_FILE = "prompts.json"
EMPHASIS = 4.0
"""How many times more a material is shown where every picture of it was missed."""
MOSTLY = 0.5
"""The share of a material's pictures beyond which, missed, it is shown in one layout alone."""


def shipped_weights() -> Path:
    """The pipeline directory that ships with Gesso."""
    return Path(str(resources.files("gesso_plugins.starter") / "weights"))


def train(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso train starter`."""
    parser = _train_parser()
    options = parser.parse_args(argv)
    refuse_overwriting(parser, options)
    if options.decay and options.steps is None:
        parser.error("--decay counts back from --steps: give both")
    start = options.start or (shipped_weights() if options.go_on and not has_checkpoint(options.out) else None)
    if start is not None and not (start / "model_index.json").exists():
        parser.error(f"{start} is not a pipeline directory: train without --continue first")
    if options.refine_decoder:
        from gesso_plugins.starter.decoder import refine_decoder

        print(refine_decoder(source, _config(options), options.start or shipped_weights()))
        return 0
    if options.distil_preview:
        from gesso_plugins.starter.preview import distil_preview

        print(distil_preview(source, _config(options), options.start or shipped_weights()))
        return 0
    from gesso_plugins.starter.train import train_starter

    print(train_starter(source, _config(options), start))
    return 0


def _train_parser() -> argparse.ArgumentParser:
    parser = train_parser(TRAINING)
    option = parser.add_argument
    option("--from", dest="start", type=Path, help="a pipeline directory to start from instead of the shipped weights")
    option("--batch", type=int, help="crops per step (whole tiles: a quarter of it)")
    option("--crop-share", type=float, help="share of the steps that see crops instead of whole tiles")
    option("--rate", type=float, default=1.0, help="factor on both learning rates (default: %(default)s)")
    option("--decay", type=int, default=0, help="let the learning rates fall to 3 %% over so many last steps before --steps")
    option("--recognition", type=float, help="weight of the recogniser's word on the denoiser's guesses; 0: none (default: 0.04)")
    drawings = "how many pictures it draws itself beside each batch, for the recogniser to speak of; 0: none (default: 16)"
    option("--drawings", type=not_negative, help=drawings)
    about = "a report.json of `gesso evaluate starter`: what it missed is shown more often (up to five times), mostly missed: in one layout"
    option("--emphasis", type=Path, metavar="REPORT", help=about)
    option("--half", action="store_true", help="compute in bfloat16; quicker where the processor multiplies it natively")
    about = "train only the decoder of --from (or of the shipped weights), the encoder held, for so many steps; give it an --out of its own"
    option("--refine-decoder", type=int, metavar="STEPS", help=about)
    about = "train only the small autoencoder that drafts are looked at through, for so many steps; give it an --out of its own"
    option("--distil-preview", type=int, metavar="STEPS", help=about)
    option("--all-materials", action="store_true", help="draw new renders of every material the source has, not only the first ones")
    return parser


def _config(options: argparse.Namespace) -> TrainConfig:
    """The recipe with what was asked for on the command line."""
    from gesso_plugins.starter.config import (
        DataConfig,
        DecoderConfig,
        DiffusionConfig,
        DrawingConfig,
        PreviewConfig,
        RecogniserConfig,
        TrainConfig,
    )

    recipe = DiffusionConfig()
    changes: dict[str, Any] = {
        "learning_rate": recipe.learning_rate * options.rate,
        "matrix_learning_rate": recipe.matrix_learning_rate * options.rate,
    }
    changes |= {name: value for name in ("batch", "crop_share") if (value := getattr(options, name)) is not None}
    if options.decay:
        changes |= {"decay_start": options.steps - options.decay, "decay_end": options.steps}
    emphasis = _emphasis(options.emphasis)
    settled = tuple(material for material, times in emphasis.items() if times > 1 + EMPHASIS * MOSTLY)
    data = DataConfig(layouts=options.layouts, emphasis=emphasis, settled=settled, workers=options.workers)
    recogniser = RecogniserConfig() if options.recognition is None else RecogniserConfig(weight=options.recognition)
    drawing = DrawingConfig() if options.drawings is None else DrawingConfig(count=options.drawings)
    return TrainConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        half=options.half,
        minutes=options.minutes,
        max_steps=options.steps,
        decoder=DecoderConfig(steps=options.refine_decoder or DecoderConfig.steps),
        preview=PreviewConfig(steps=options.distil_preview or PreviewConfig.steps),
        recogniser=recogniser,
        drawing=drawing,
        diffusion=dataclasses.replace(recipe, **changes),
        data=dataclasses.replace(data, materials=()) if options.all_materials else data,
    )


def _emphasis(report: Path | None) -> dict[str, float]:
    """How often each material is shown, by a report of the evaluation: once, and `EMPHASIS` times more by the share that was missed."""
    if report is None:
        return {}
    from gesso.errors import InvalidRequest
    from gesso.training.files import read_json

    try:
        told = read_json(report)
        return {material: 1 + EMPHASIS * told["missed"].get(material, 0) / count for material, count in told["asked"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        hint = "Give a report.json that `gesso evaluate starter` wrote."
        raise InvalidRequest(f"{report} is no report of an evaluation ({fault}).", field="emphasis", hint=hint) from fault


def evaluate(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso evaluate starter`."""
    about = "Measure a starter model with the fixed prompts, seeds and judge."
    parser = argparse.ArgumentParser(prog="gesso evaluate starter", description=about, allow_abbrev=False)
    option = parser.add_argument
    option("--model", type=Path, default=None, help="a pipeline directory (default: the shipped weights)")
    option("--out", type=Path, default=DEFAULT_OUT / "evaluation", help="folder of the report (default: %(default)s)")
    option("--size", type=int, help="pixels (default, as for the next two: as docs/starter.md measures)")
    option("--steps", type=int, help="sampling steps")
    option("--guidance", type=float, help="guidance")
    option("--count", type=int, help="only so many prompts")
    about = "only the prompts of the twelve materials that other families learn, with pictures reduced to half their size: the lower bar"
    option("--twelve", action="store_true", help=about)
    option("--threads", type=int, default=1, help="processor threads (default: %(default)s)")
    option("--train-judge", action="store_true", help="train the judge anew, from its seed, and keep it beside the prompts")
    option("--judge-only", action="store_true", help="stop after measuring the judge on renders nobody was trained on")
    options = parser.parse_args(argv)
    import torch

    from gesso.training.renders import RenderStore
    from gesso_plugins.starter.classifier import ClassifierConfig, held_out_accuracy, load_judge
    from gesso_plugins.starter.evaluate import evaluation_file

    torch.set_num_threads(options.threads)
    if options.train_judge:
        _train_judge(source, options.out)
    judge = load_judge(evaluation_file(JUDGE_FILE))
    store = RenderStore(options.out / "renders", ClassifierConfig().seed, 256)
    material, colour = held_out_accuracy(judge, source, store, ClassifierConfig())
    print(f"judge on held-out renders: material {material:.1%}, colour {colour:.1%}")
    _tell_ceiling(options, source, judge)
    if not options.judge_only:
        _measure(options, judge)
    return 0


def _tell_ceiling(options: argparse.Namespace, source: CaptionedSource, judge: Judge) -> None:
    """The judge on true renders of the fixed prompts, as they are and through the autoencoder: no generated picture can do better."""
    from diffusers import AutoencoderKL

    from gesso.plugin.datasets import PromptedSource
    from gesso_plugins.starter.autoencoder import decode_latents, encode_images
    from gesso_plugins.starter.evaluate import evaluation_file, load_prompts, measure, render_prompts

    if not isinstance(source, PromptedSource):
        return
    prompts = load_prompts(evaluation_file(PROMPTS_FILE))
    renders = render_prompts(source, prompts)
    vae = AutoencoderKL.from_pretrained(str((options.model or shipped_weights()) / "vae"), local_files_only=True)
    for name, images in (("", renders), (" through the autoencoder", decode_latents(vae, encode_images(vae, renders)))):
        report = measure(prompts, images, judge)
        print(f"judge on renders of the prompts{name}: material {report.material:.1%}, colour {report.colour:.1%}")
        print("  colours missed: " + ", ".join(f"{material} {count}" for material, count in report.miscoloured.items()))


def _measure(options: argparse.Namespace, judge: Judge) -> None:
    """Make the pictures, judge them, write the report and a contact sheet."""
    from gesso.training.files import write_json
    from gesso.training.materials import MATERIALS
    from gesso.training.sheet import save_sheet
    from gesso_plugins.starter.evaluate import evaluate as run
    from gesso_plugins.starter.evaluate import evaluation_file, halved, load_prompts
    from gesso_plugins.starter.sampling import SamplingConfig, load_sampler

    prompts = [prompt for prompt in load_prompts(evaluation_file(PROMPTS_FILE)) if not options.twelve or prompt.material in MATERIALS]
    prompts = prompts[: options.count]
    sampling = SamplingConfig(**{name: value for name in ("size", "steps", "guidance") if (value := getattr(options, name)) is not None})
    sampler = load_sampler(options.model or shipped_weights())
    finish = halved if options.twelve else lambda images: images
    report, images = run(lambda texts, seeds: finish(sampler.images(texts, seeds, sampling)), prompts, judge)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "report.json", report.as_json() | {"sampling": dataclasses.asdict(sampling)})
    every = max(1, len(images) // 80)
    save_sheet(options.out / "sheet.webp", images[::every][:80], [prompt.text for prompt in prompts[::every]][:80], columns=10)
    found = f"material {report.material:.1%}, colour {report.colour:.1%}, wrap {report.wrap_ratio:.3f}"
    print(f"{report.images} pictures of {images.shape[1]} px: {found}")


def _train_judge(source: CaptionedSource, out: Path) -> None:
    """Train the judge and keep it."""
    from gesso.training.renders import RenderStore
    from gesso_plugins.starter.classifier import ClassifierConfig, new_judge, save_judge, train_judge
    from gesso_plugins.starter.config import CORE_MATERIALS
    from gesso_plugins.starter.evaluate import evaluation_file

    config = ClassifierConfig()
    colours = tuple(getattr(source, "colours", ()))
    judge = new_judge(CORE_MATERIALS, colours, config)
    train_judge(
        judge, source, RenderStore(out / "renders", config.seed, 256), config, lambda text: print(text, file=sys.stderr, flush=True)
    )
    save_judge(evaluation_file(JUDGE_FILE), judge, config)
