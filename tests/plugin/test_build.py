"""Registration: whatever one plugin does wrong is named, with plugin, hook and fault, and the others work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gesso.errors import InvalidRequest
from gesso.manifest import first_party
from gesso.plugin import Registry, build_plugins

IMPORTS = "from gesso.plugin import hookimpl, sampler, schedule, Operation, OperationParams\n"
GOOD = (
    IMPORTS
    + """
@sampler("plain", title="Plain", paper="none", aliases=("simple one",))
def plain(x, sigmas):
    yield x, sigmas[0]
    return x

@hookimpl
def gesso_samplers(ctx):
    return [plain]
"""
)
PLAIN = {"samplers": ("plain",)}


def other(name: str, aliases: str = "()") -> str:
    return GOOD.replace('"plain", title="Plain"', f'"{name}", title="{name}!"').replace('("simple one",)', aliases)


def test_first_party_plugins_register_what_they_declare() -> None:
    registry = build_plugins(first_party())
    assert [fault.message for fault in registry.faults] == []
    for state in registry.plugins:
        assert {kind: set(names) for kind, names in state.registered.items()} == {k: set(v) for k, v in state.entry.provides.items()}
    assert set(registry.operations.names) >= {"generate", "texture"}
    assert registry.dataset("procedural").name == "procedural"
    assert [model.name for model in registry.models][:2] == ["procedural", "starter"]


def test_two_registries_share_nothing(build: Callable[..., Registry]) -> None:
    one, two = build(good=(GOOD, PLAIN)), build(other=(other("second"), {"samplers": ("second",)}))
    assert one.samplers.names == ("plain",)
    assert two.samplers.names == ("second",)


@pytest.mark.parametrize(
    ("source", "hook", "said"),
    [
        ("raise ValueError('no luck')", "", "could not be imported: ValueError: no luck"),
        ("import a_module_that_is_not_there", "", "No module named 'a_module_that_is_not_there'"),
        ("import sys\nsys.exit(3)", "", "SystemExit"),
        ("def (", "", "SyntaxError"),
        (IMPORTS + "@hookimpl\ndef gesso_smaplers(ctx):\n    return []", "", "gesso_smaplers"),
        (IMPORTS + "@hookimpl\ndef gesso_samplers(context):\n    return []", "", "context"),
        (IMPORTS + "@hookimpl\ndef gesso_samplers(ctx):\n    return 1 / 0", "gesso_samplers", "ZeroDivisionError"),
        (IMPORTS + "@hookimpl\ndef gesso_samplers(ctx):\n    raise SystemExit", "gesso_samplers", "SystemExit"),
        (IMPORTS + "@hookimpl\ndef gesso_samplers(ctx):\n    return 'abc'", "gesso_samplers", "str where a list was expected"),
        (IMPORTS + "@hookimpl\ndef gesso_samplers(ctx):\n    return [1]", "gesso_samplers", "has no name"),
        (
            IMPORTS + "class A:\n    name = 'plain'\n@hookimpl\ndef gesso_samplers(ctx):\n    return [A()]",
            "gesso_samplers",
            "no SamplerSpec",
        ),
        (GOOD.replace('"plain"', '"undeclared"'), "gesso_samplers", "does not declare it"),
        (IMPORTS, "gesso_samplers", "did not register it"),
    ],
)
def test_a_broken_plugin_is_named_and_stops_no_other(build: Callable[..., Registry], source: str, hook: str, said: str) -> None:
    registry: Registry = build(
        first=(other("first"), {"samplers": ("first",)}),
        bad=(source, PLAIN),
        last=(other("last"), {"samplers": ("last",)}),
    )
    assert registry.samplers.names == ("first", "last")
    fault = registry.faults[0]
    assert (fault.plugin, fault.hook) == ("bad", hook)
    assert "'bad'" in fault.message
    assert said in fault.message
    states = {state.entry.name: state for state in registry.plugins}
    assert states["bad"].usable is (hook != "")
    assert states["first"].usable
    assert states["last"].faults == ()


@pytest.mark.parametrize("aliases", ['("plain",)', '("Simple  ONE",)', '("PLAIN",)'])
def test_a_taken_name_is_refused_and_the_first_owner_keeps_it(build: Callable[..., Registry], aliases: str) -> None:
    registry: Registry = build(good=(GOOD, PLAIN), thief=(other("second", aliases), {"samplers": ("second",)}))
    assert registry.samplers.names == ("plain",)
    assert "belongs to the sampler 'plain' of the plugin 'good'" in registry.faults[0].message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "no Params"),
        ("    Params = dict\n", "no Params"),
        ("    Params = OperationParams\n", "no title"),
        ("    Params = OperationParams\n    title = 'T'\n", "no method resolve()"),
        ("    Params = OperationParams\n    title = 'T'\n    def resolve(self, ctx, p): ...\n", "no method run()"),
    ],
)
def test_an_incomplete_operation_is_refused(build: Callable[..., Registry], body: str, said: str) -> None:
    source = IMPORTS + f"class Op:\n    name = 'op'\n{body}\n@hookimpl\ndef gesso_operations(ctx):\n    return [Op()]\n"
    registry: Registry = build(bad=(source, {"operations": ("op",)}))
    assert len(registry.operations) == 0
    assert said in registry.faults[0].message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def f(moment): yield ()\nthing = f", "has no name"),
        ("class A:\n    name = 'g'\nthing = A()", "no GuidanceSpec"),
        ("@guidance('g', title='G', paper='')\ndef thing(moment, scale=3.0): yield ()", "a default for its option 'scale'"),
        ("@guidance('g', title='G', paper='')\ndef thing(moment, scale: float): yield ()", "a default for its option 'scale'"),
        ("@guidance('g', title='G', paper='')\ndef thing(moment, scale: 'Flaot' = 3.0): yield ()", "cannot be read: NameError"),
    ],
)
def test_a_guidance_whose_options_cannot_be_shown_is_refused(build: Callable[..., Registry], body: str, said: str) -> None:
    source = f"from gesso.plugin import guidance, hookimpl\n{body}\n@hookimpl\ndef gesso_guidance(ctx):\n    return [thing]\n"
    registry: Registry = build(bad=(source, {"guidances": ("g",)}), good=(GOOD, PLAIN))
    assert len(registry.guidances) == 0
    assert said in registry.faults[0].message
    assert registry.samplers.names == ("plain",)


def test_a_class_in_place_of_an_instance_is_refused(build: Callable[..., Registry]) -> None:
    source = IMPORTS + "class Op:\n    name = 'op'\n@hookimpl\ndef gesso_operations(ctx):\n    return [Op]\n"
    assert "is a class" in build(bad=(source, {"operations": ("op",)})).faults[0].message


def test_each_plugin_gets_a_context_of_its_own(build: Callable[..., Registry]) -> None:
    source = GOOD.replace("return [plain]", "assert ctx.plugin == 'good', ctx\n    return [plain]")
    assert build(first=(other("first"), {"samplers": ("first",)}), good=(source, PLAIN)).faults == ()


def test_hook_calls_can_be_traced(
    build: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GESSO_TRACE_PLUGINS", "1")
    build(good=(GOOD, PLAIN))
    assert "gesso_samplers: good: 1 in" in capsys.readouterr().err


def test_labels_split_into_sampler_and_schedule() -> None:
    registry = build_plugins(first_party())
    assert registry.sampling("dpmpp_2m") == ("dpmpp_2m", None)
    assert registry.sampling("DPM++ 2M Karras") == ("dpmpp_2m", "karras")
    assert registry.sampling("  dpm++ 2m   karras ") == ("dpmpp_2m", "karras")
    assert registry.sampling("DPM++ 2M Karras", "exponential") == ("dpmpp_2m", "exponential")
    assert registry.sampling("Euler a") == ("euler_ancestral", None)
    assert registry.sampling("Euler", "Karras") == ("euler", "karras")
    assert registry.sampling("DPM++ 2M SDE Karras") == ("dpmpp_2m_sde", "karras")


@pytest.mark.parametrize(("label", "nearest"), [("eulr", "euler"), ("DPM++ 2N", "dpmpp_2m"), ("Euler Karas", "euler")])
def test_an_unknown_label_names_the_nearest(label: str, nearest: str) -> None:
    registry = build_plugins(first_party())
    with pytest.raises(InvalidRequest) as caught:
        registry.sampling(label)
    assert caught.value.field == "sampler"
    assert nearest in caught.value.details["nearest"]
    assert nearest in str(caught.value)


def test_an_unknown_model_and_schedule_name_their_fields() -> None:
    registry = build_plugins(first_party())
    with pytest.raises(InvalidRequest, match="procedural") as model:
        registry.model("proceduarl")
    with pytest.raises(InvalidRequest, match="karras") as schedule:
        registry.sampling("euler", "kerras")
    assert (model.value.field, schedule.value.field) == ("model", "schedule")
