"""What all plugins of one process registered, by name. It is made by `build_plugins`; it loads no model and runs no operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gesso.manifest import KINDS, Manifest, ModelEntry, PluginEntry
from gesso.naming import readings
from gesso.plugin.codecs import CodecSpec
from gesso.plugin.commands import CommandSpec
from gesso.plugin.filters import FilterSpec, When
from gesso.plugin.lifecycle import Lifecycle
from gesso.plugin.names import Catalogue
from gesso.plugin.previews import PreviewSpec
from gesso.plugin.scoring import ScorerSpec
from gesso.plugin.specs import GuidanceSpec, SamplerSpec, ScheduleSpec
from gesso.plugin.styles import StyleSpec
from gesso.plugin.upscaling import UpscalerSpec

if TYPE_CHECKING:
    from gesso.model import Family
    from gesso.plugin.datasets import CaptionedSource
    from gesso.plugin.judging import Judge
    from gesso.plugin.operations import Operation


@dataclass(frozen=True)
class Fault:
    """Something a plugin did wrong. ``hook`` is empty for faults at import; ``message`` is a sentence for the user."""

    plugin: str
    hook: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class PluginState:
    """A plugin as it stands: what it declared, what it registered, what went wrong. ``usable`` is false where nothing of it is in use."""

    entry: PluginEntry
    registered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it was imported and its hooks were accepted."""
        return not any(fault.hook == "" for fault in self.faults)


class Registry:
    """Everything that plugins provide. Look-ups take names, aliases and titles; an unknown one is an InvalidRequest with the nearest."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.samplers: Catalogue[SamplerSpec] = Catalogue("sampler", "sampler")
        self.schedules: Catalogue[ScheduleSpec] = Catalogue("schedule", "schedule")
        self.guidances: Catalogue[GuidanceSpec] = Catalogue("guidance", "guidance_extra")
        self.operations: Catalogue[Operation[Any]] = Catalogue("operation", "operation")
        self.families: Catalogue[Family] = Catalogue("model family", "family")
        self.scorers: Catalogue[ScorerSpec] = Catalogue("scorer", "score")
        self.styles: Catalogue[StyleSpec] = Catalogue("style", "style_preset")
        self.upscalers: Catalogue[UpscalerSpec] = Catalogue("upscaler", "upscaler")
        self.previews: Catalogue[PreviewSpec] = Catalogue("preview", "preview")
        self.codecs: Catalogue[CodecSpec] = Catalogue("codec", "output")
        self.filters: Catalogue[FilterSpec] = Catalogue("filter", "filter")
        self.commands: Catalogue[CommandSpec] = Catalogue("command", "command")
        self.lifecycles: Catalogue[Lifecycle] = Catalogue("lifecycle", "lifecycle")
        self.datasets: Catalogue[CaptionedSource] = Catalogue("dataset", "dataset")
        self.judges: Catalogue[Judge] = Catalogue("judge", "judge")
        self.options: dict[str, Mapping[str, Any]] = {}
        self.models: tuple[ModelEntry, ...] = manifest.models
        self.plugins: list[PluginState] = []

    def copy(self) -> Registry:
        """A registry of the same things, to which more may be added; whoever holds this one goes on with what it has."""
        made = Registry(self.manifest)
        for kind in KINDS:
            setattr(made, kind, getattr(self, kind).copy())
        made.models = self.models
        made.options = dict(self.options)
        made.plugins = list(self.plugins)
        return made

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults of all plugins."""
        return tuple(fault for state in self.plugins for fault in state.faults)

    def sampler(self, name: str) -> SamplerSpec:
        """The sampler of that name, alias or title."""
        return self.samplers.get(name)

    def schedule(self, name: str) -> ScheduleSpec:
        """The schedule of that name, alias or title."""
        return self.schedules.get(name)

    def guidance(self, name: str) -> GuidanceSpec:
        """The guidance of that name, alias or title."""
        return self.guidances.get(name)

    def operation(self, name: str) -> Operation[Any]:
        """The operation of that name."""
        return self.operations.get(name)

    def family(self, name: str) -> Family:
        """The model family of that name."""
        return self.families.get(name)

    def scorer(self, name: str | None) -> ScorerSpec:
        """The scorer of that name, alias or title; None: the first that compares with the prompt, else the first."""
        if name is None:
            name = min(self.scorers, key=lambda spec: not spec.prompted).name if len(self.scorers) else "any"
        return self.scorers.get(name)

    def style(self, name: str) -> StyleSpec:
        """The style of that name, alias or title."""
        return self.styles.get(name)

    def upscaler(self, name: str) -> UpscalerSpec:
        """The upscaler of that name, alias or title."""
        return self.upscalers.get(name)

    def codec(self, name: str) -> CodecSpec:
        """The codec of that name, alias or title."""
        return self.codecs.get(name)

    def filters_of(self, when: When) -> list[FilterSpec]:
        """The filters that are heard then, in their order."""
        return sorted((spec for spec in self.filters if spec.when == when), key=lambda spec: (spec.order, spec.name))

    def options_of(self, kind: str, name: str) -> Mapping[str, Any]:
        """The owner's settings of the plugin that registered the thing of that kind (a heading of ``provides``) and name."""
        catalogue: Catalogue[Any] = getattr(self, kind)
        return self.options.get(catalogue.plugin_of(name), {})

    def dataset(self, name: str) -> CaptionedSource:
        """The source of captioned images of that name."""
        return self.datasets.get(name)

    def judge_of(self, dataset: str) -> Judge | None:
        """The first judge of the dataset of that name."""
        return next((judge for judge in self.judges if judge.dataset == dataset), None)

    def model(self, name: str) -> ModelEntry:
        """The declared model of that name or title; names win over titles."""
        entries: Catalogue[ModelEntry] = Catalogue("model", "model")
        for entry in self.models:
            entries.add(entry.name, entry, "", ())
        for entry in self.models:
            entries.claim(entry.name, "", (entry.title,))
        return entries.get(name)

    def sampling(self, label: str, schedule: str | None = None) -> tuple[str, str | None]:
        """Canonical names of sampler and schedule. ``label`` is a sampler, or both as AUTOMATIC1111 and InvokeAI write them ("DPM++ 2M
        Karras", "dpmpp_2m_k"); a ``schedule`` that is named wins over the label's; None where neither names one.
        """
        named = None if schedule is None else self.schedules.get(schedule).name
        sampler = self.samplers.canonical(label)
        if sampler is not None:
            return sampler, named
        for sampler_part, schedule_part in readings(label):
            found = self.samplers.canonical(sampler_part), self.schedules.canonical(schedule_part)
            if found[0] is not None and found[1] is not None:
                return found[0], named or found[1]
        raise self.samplers.unknown(label)
