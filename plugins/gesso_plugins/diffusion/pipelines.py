"""The family `diffusers`: pipelines that no family of Gesso's engine runs, as diffusers runs them, set aside after every step.

No code of a snapshot runs: pipelines and components go by names that are listed here or belong to diffusers and transformers, weights are
safetensors, and a snapshot with a Python file in it is refused.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gesso.errors import InvalidRequest, ModelError
from gesso.library.snapshot import check_snapshot, components
from gesso.manifest import ModelEntry
from gesso.media.images import quantised
from gesso.model import Defaults, Limits, ModelCard, Patch, Stage, overlaid
from gesso_plugins.diffusion.codec import Codec
from gesso_plugins.diffusion.family import directory_of

if TYPE_CHECKING:
    from gesso_plugins.diffusion.source import Directory

PIPELINES = frozenset({
    "AuraFlowPipeline", "BriaPipeline", "ChromaPipeline", "CogView3PlusPipeline", "CogView4Pipeline", "ErnieImagePipeline",
    "GlmImagePipeline", "HiDreamImagePipeline", "HunyuanDiTPipeline", "HunyuanImagePipeline",
    "Kandinsky3Pipeline", "Kandinsky5T2IPipeline", "Krea2Pipeline", "Lumina2Pipeline", "LuminaPipeline", "NucleusMoEImagePipeline",
    "OmniGenPipeline", "OvisImagePipeline", "PRXPipeline", "PRXPixelPipeline", "SanaPipeline", "SanaSprintPipeline",
})  # fmt: skip
"""Each takes a prompt, a size, a number of steps and a generator, and calls back after every step; a test holds them to it."""
EDITORS = frozenset({"StableDiffusionInstructPix2PixPipeline"})
"""Each does to a picture what the prompt says; the picture has the size."""

_WITHOUT_WEIGHTS = re.compile(r".*(Tokenizer|TokenizerFast|Scheduler|Processor|ProcessorFast|FeatureExtractor)")
_LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")


class PipelineFamily:
    """Whatever else diffusers can make pictures with: no batching with others, no sampler or schedule of Gesso, no seamless pictures."""

    name = "diffusers"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files and safetensors headers."""
        directory = directory_of(entry.name, entry.path)
        kind = directory.index.get("_class_name")
        if not isinstance(kind, str) or kind not in PIPELINES | EDITORS:
            raise ModelError(
                f"{directory.path} is a {kind!r}, which Gesso does not know.",
                hint=f"Known pipelines of diffusers are {', '.join(sorted(PIPELINES))}.",
            )
        found = _components(directory)
        weights = directory.weights(tuple(name for name, kind in found.items() if not _WITHOUT_WEIGHTS.fullmatch(kind)))
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=directory.digest(weights, tuple(found)),
            title=entry.title,
            path=directory.path,
            capabilities=frozenset({"paint", "instruct"} if kind in EDITORS else {"paint"}),
            defaults=overlaid(entry.name, _defaults(kind), entry.defaults),
            limits=overlaid(entry.name, Limits(256, 2048, 32), entry.limits),
            licence=entry.licence,
            info={"bytes": str(sum(path.stat().st_size for path in weights)), "pipeline": kind},
        )

    def load(self, card: ModelCard, on: torch.device) -> PipelineModel:
        """The pipeline on the device: in half precision on an accelerator."""
        import diffusers

        directory = directory_of(card.name, card.path)
        _components(directory)
        left_out = {name: None for name in _LEFT_OUT if name in directory.index}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # what diffusers tells itself
                pipeline = getattr(diffusers, card.info["pipeline"]).from_pretrained(
                    str(card.path),
                    local_files_only=True,
                    use_safetensors=True,
                    dtype=torch.bfloat16 if on.type == "cuda" else torch.float32,
                    **left_out,
                )
        except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError) as fault:
            raise ModelError(f"diffusers cannot load {card.path}: {' '.join(str(fault).split())[:300]}") from fault
        pipeline.set_progress_bar_config(disable=True)
        return PipelineModel(card, pipeline.to(on), on)


def _components(directory: Directory) -> dict[str, str]:
    """The classes of the components by name. Nothing in the directory is a program, and none asks for one."""
    found = {name: kind for name, (_, kind) in components(check_snapshot(directory.path)).items() if name not in _LEFT_OUT}
    for name, kind in found.items():
        if kind.startswith("Auto") and not kind.startswith("Autoencoder"):
            raise ModelError(
                f"{directory.path} leaves the class of its {name} open ({kind}); Gesso runs only what is named.",
                hint="Name the class in model_index.json.",
            )
    return found


def _defaults(kind: str) -> Defaults:
    """What the pipeline takes where it is told nothing."""
    import diffusers

    own = {name: parameter.default for name, parameter in inspect.signature(getattr(diffusers, kind).__call__).parameters.items()}
    guidance = own.get("true_cfg_scale", own.get("guidance_scale"))
    side = own.get("height") or (512 if kind in EDITORS else 1024)
    return Defaults("", "", int(own["num_inference_steps"]), float(1.0 if guidance is None else guidance), side, side)


class PipelineModel:
    """A loaded pipeline. ``begin`` starts a picture, ``step`` takes it one step further."""

    methods: Mapping[str, bool] = {"begin": False, "step": False}

    def __init__(self, card: ModelCard, pipeline: Any, device: torch.device) -> None:
        self.card = card
        self._pipeline = pipeline
        self._takes = frozenset(inspect.signature(type(pipeline).__call__).parameters)
        self._networks = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
        vae = getattr(pipeline, "vae", None)
        channels = getattr(getattr(vae, "config", None), "latent_channels", None)
        self._channels = channels if isinstance(channels, int) else 0
        if self._channels and type(vae).__name__ in ("AutoencoderKL", "AutoencoderDC"):
            self.preview_matrix = Codec(vae, self._channels, device).preview_matrix

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(p.numel() * p.element_size() for network in self._networks for p in network.parameters())

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """It takes none."""
        if patches:
            raise InvalidRequest(f"The model {self.card.name!r} is run by diffusers and cannot take {type(patches[0]).__name__}.")
        yield

    def apply(self, method: str, inputs: Mapping[str, Any]) -> PipelinePainting | Stage:
        """``begin``: prompt, negative, width, height, steps, guidance, seed -> a painting. ``step``: painting -> `Stage`."""
        if method == "begin":
            return PipelinePainting(lambda told: self._run(inputs, told))
        painting: PipelinePainting = inputs["painting"]
        return painting.step()

    def _run(self, inputs: Mapping[str, Any], told: Callable[[Tensor | None], None]) -> Any:
        """The whole picture; ``told`` is called after each step with what can be shown."""
        size = int(inputs["width"]), int(inputs["height"])

        def after_step(_pipeline: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            told(self._shown(tensors.get("latents"), *size))
            return tensors

        arguments = {
            "prompt": inputs["prompt"],
            "negative_prompt": inputs["negative"] if inputs["negative"].strip() else None,
            "width": size[0],
            "height": size[1],
            "num_inference_steps": inputs["steps"],
            "true_cfg_scale" if "true_cfg_scale" in self._takes else "guidance_scale": inputs["guidance"],
            "generator": torch.Generator("cpu").manual_seed(int(inputs["seed"])),
            "image": inputs["image"],
            "output_type": "np",
            "callback_on_step_end": after_step,
        }
        picture = self._pipeline(**{name: value for name, value in arguments.items() if name in self._takes}).images[0]
        return quantised(picture, 8)

    def _shown(self, latents: Tensor | None, width: int, height: int) -> Tensor | None:
        """A latent that the matrix of previews fits, unpacked if need be: it is still as noisy as the pipeline has it."""
        if not hasattr(self, "preview_matrix") or latents is None:
            return None
        if latents.dim() == 3 and hasattr(self._pipeline, "_unpack_latents"):
            latents = self._pipeline._unpack_latents(latents, height, width, self._pipeline.vae_scale_factor)
        fits = latents.dim() == 4 and latents.shape[1] == self._channels
        return latents[:1].detach().to("cpu", torch.float32) if fits else None


class PipelinePainting:
    """A pipeline at work on a greenlet: where it calls back after a step, it is set aside until the next one is asked for."""

    def __init__(self, run: Callable[[Callable[[Tensor | None], None]], Any]) -> None:
        from greenlet import greenlet

        self._inside = greenlet(lambda: run(self._set_aside))
        self._step = 0

    def step(self) -> Stage:
        """One step further; the last answer has the pixels."""
        from greenlet import getcurrent

        self._inside.parent = getcurrent()
        answer = self._inside.switch()
        if self._inside.dead:
            return Stage(self._step, pixels=answer)
        self._step += 1
        return Stage(self._step, latent=answer)

    def close(self) -> None:
        """End the pipeline where it stands."""
        if self._inside:
            self._inside.throw()

    def _set_aside(self, shown: Tensor | None) -> None:
        self._inside.parent.switch(shown)
