"""The pages about plugins are true: exact signatures, examples that run, and operations as they are compiled."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gesso.engine.calls import Load, ModelRef
from gesso.errors import Refused
from gesso.manifest import ModelEntry, first_party, read
from gesso.plugin import Registry, ScoreContext, build_plugins, compile_operations, hookspecs
from gesso.plugin.document import operations_page

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/plugin_hooks.md").read_text(encoding="utf-8")
HOOKS = [name for name, thing in vars(hookspecs).items() if name.startswith("gesso_") and inspect.isfunction(thing)]
PROVIDES = {
    "gesso_samplers": {"samplers": ("nearby",)},
    "gesso_schedules": {"schedules": ("halving",)},
    "gesso_guidance": {"guidances": ("halfway",)},
    "gesso_operations": {"operations": ("swatch",)},
    "gesso_families": {"families": ("grey",)},
    "gesso_scorers": {"scorers": ("colourful",)},
    "gesso_styles": {"styles": ("frosted",)},
    "gesso_upscalers": {"upscalers": ("nearest",)},
    "gesso_previews": {"previews": ("grey",)},
    "gesso_codecs": {"codecs": ("netpbm",)},
    "gesso_filters": {"filters": ("polite", "dimmed")},
    "gesso_commands": {"commands": ("greet",)},
    "gesso_lifecycle": {"lifecycles": ("counting",)},
    "gesso_datasets": {"datasets": ("greys",)},
    "gesso_judges": {"judges": ("brightness",)},
}


def section(hook: str) -> str:
    return PAGE.split(f"\n## {hook}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_every_hook_has_a_section_and_no_section_is_left_over() -> None:
    assert re.findall(r"^## (\w+)$", PAGE, flags=re.MULTILINE) == HOOKS
    assert set(PROVIDES) == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_exact_signature_stands_in_the_page(hook: str) -> None:
    source = inspect.getsource(getattr(hookspecs, hook))
    signature = next(line for line in source.splitlines() if line.startswith("def ")).partition(":  #")[0].rstrip(":")
    assert blocks(section(hook))[0].strip() == f"{signature}: ..."


def test_every_hook_has_a_first_party_user() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "plugins/gesso_plugins").glob("*/plugin.py"))
    for hook in HOOKS:
        assert f"def {hook}(" in sources


def test_the_example_manifest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plugin_manifest.toml"
    path.write_text('schema = 1\noperations = "x:operations.json"\n' + blocks(PAGE, "toml")[0])
    assert read(path).plugins[0].provides == {"samplers": ("nearby",), "schedules": ("halving",)}


def test_the_example_of_a_declared_model_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    (table,) = (block for block in blocks(page, "toml") if "[[model]]" in block)
    path = tmp_path / "plugin_manifest.toml"
    path.write_text('schema = 1\noperations = "x:operations.json"\n' + table.replace("gesso_nearby:", "gesso_plugins.starter:"))
    (model,) = read(path).models
    assert (model.defaults, model.limits) == ({"sampler": "euler", "steps": 12, "guidance": 3.0}, {"largest": 512})


@pytest.mark.parametrize("hook", HOOKS)
def test_each_example_registers(build: Callable[..., Registry], hook: str) -> None:
    registry = build(example=(blocks(section(hook))[1], PROVIDES[hook]))
    assert [fault.message for fault in registry.faults] == []
    assert registry.plugins[0].registered == PROVIDES[hook]


def test_the_small_examples_work(build: Callable[..., Registry], capsys: pytest.CaptureFixture[str]) -> None:
    from gesso.media.profile import SRGB
    from gesso.model import Latent, ModelCard
    from gesso.plugin import CodecContext, ModelEvent, PreviewContext, UpscaleContext
    from gesso.worker import filtering

    registry = build(**{hook.removeprefix("gesso_"): (blocks(section(hook))[1], PROVIDES[hook]) for hook in HOOKS})
    style = registry.style("frosted")
    assert (style.words("moss"), style.against("rain")) == ("moss, covered in frost", "rain, summer")
    larger = registry.upscaler("nearest").function(UpscaleContext(None, np.zeros((2, 3, 3), np.float32), 4))  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as end:
        next(larger)
    assert end.value.value.shape == (8, 12, 3)
    card = ModelCard("m", "f", "d", "M", None, frozenset(), latent=Latent(4, 8))
    draw = registry.previews.get("grey").function(PreviewContext(SimpleNamespace(card=card)))  # type: ignore[arg-type]
    assert draw is not None
    assert draw(torch.zeros(1, 4, 3, 5)).shape == (3, 5, 3)
    grey = registry.codec("Netpbm").function(CodecContext(np.full((2, 3, 1), 7, np.uint8), SRGB))
    assert grey == b"P5\n3 2\n255\n" + bytes([7]) * 6
    assert filtering.before(registry, "generate", {"prompt": "moss"}, print) == {"prompt": "moss"}
    with pytest.raises(Refused):
        filtering.before(registry, "generate", {"prompt": "damn moss"}, print)
    assert next(iter(registry.commands))(["you"]) == 0
    assert capsys.readouterr().out == "hello you\n"
    counting: Any = registry.lifecycles.get("counting")
    counting.model_loaded(ModelEvent(card))
    assert counting.loaded == ["m"]


def test_the_examples_work(build: Callable[..., Registry]) -> None:
    from gesso.device.residency import ModelPool
    from gesso.engine.loop import Engine, Hooks
    from gesso.engine.task import Ticket
    from gesso.model import Parametrisation
    from gesso.plugin.operations import validated
    from gesso.worker.context import WorkerContext
    from gesso.worker.filtering import after
    from gesso.worker.models import WorkerCatalogue

    examples = {hook.removeprefix("gesso_"): (blocks(section(hook))[1], PROVIDES[hook]) for hook in HOOKS}
    registry = build(**examples)
    assert registry.faults == ()
    levels = registry.schedule("halving")(Parametrisation("epsilon", (0.1, 8.0)), 3)
    assert list(levels) == [8.0, 4.0, 2.0, 0.0]
    run = registry.sampler("nearby")(torch.ones(1, 1, 2, 2), levels)
    assert next(run)[1] == 8.0
    assert registry.guidance("Halfway").options(share=1).model_dump() == {"share": 1.0}
    assert registry.dataset("greys").sample(np.random.default_rng(0), 4).image.shape == (4, 4, 3)
    judge = registry.judge_of("greys")
    assert judge is not None
    assert judge.judge(np.full((1, 4, 4, 3), 200, np.uint8)) == [{"material": "bright"}]
    assert registry.judge_of("photographs") is None
    registry.models = (ModelEntry("grey", "grey", "Grey", None, ("render",)),)
    catalogue, operation, ended = WorkerCatalogue(registry), registry.operation("swatch"), []
    ctx = WorkerContext(registry, catalogue, "exact", {})
    with ThreadPoolExecutor(1) as threads:
        engine = Engine(ModelPool(catalogue, torch.device("cpu")), threads, Hooks(lambda _, event: ended.append(event)))
        engine.start(Ticket("a"), operation.run(ctx, operation.resolve(ctx, validated(operation, {"prompt": "x", "seed": 7}))))
        engine.run()
        end: Any = ended[-1]
        assert end.error is None
        assert end.value[0].pixels.max() == 7
        engine.start(Ticket("b"), after(registry, ctx, "swatch", {}, end.value))
        engine.run()
        (dimmed,) = ended[-1].value
        assert dimmed.pixels.max() == 3
        assert dimmed.info["filters"] == {"dimmed": {"by": 2}}
        red = np.zeros((2, 2, 3), np.uint8)
        red[..., 0] = 255
        engine.start(Ticket("c"), registry.scorer("colourful").function(ScoreContext(ctx, [red, red * 0])))
        engine.run()
        assert ended[-1].value[0] > ended[-1].value[1] == 0
    assert Load(ModelRef("grey", "grey-1")).model.name == end.value[0].model


def test_the_operations_page_is_what_is_compiled() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert page == operations_page(compile_operations(build_plugins(first_party()))), "run `python -m gesso.plugin.compile`"
