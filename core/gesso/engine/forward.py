"""Runs calls on models: one forward for calls of equal key. It decides neither what runs next nor who is to blame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from gesso.engine.batching import Key, scope_of, stack
from gesso.engine.calls import Apply, Call, Decode, Denoise, Denoised, DenoiseGrad, Embed, EncodeImage, EncodeText, Host, Load
from gesso.errors import ModelError
from gesso.model import (
    Adapter,
    Applies,
    Conditioning,
    Control,
    Controlled,
    Decodes,
    Denoises,
    Embeds,
    EncodesImages,
    EncodesNegatives,
    EncodesText,
    Model,
    ModelCard,
    ModelRef,
    Patch,
    Perturbation,
    Perturbs,
)


class Models(Protocol):
    """What the engine needs of the models' residency (`gesso.device.ModelPool`)."""

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where calls run."""
        ...

    def using(self, ref: ModelRef) -> AbstractContextManager[Model]:
        """The loaded model, pinned for the time of the context; loads it if need be."""
        ...

    def card(self, ref: ModelRef) -> ModelCard:
        """The model's card."""
        ...

    def make_room(self) -> int:
        """Drop every model that is not in use, and cached memory; returns the bytes."""
        ...


class TextCache:
    """The newest embeddings by (scope, text); the least recently used go first. The scope is `scope_of` the call."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._held: OrderedDict[tuple[Key, str], Conditioning] = OrderedDict()

    def get(self, scope: Key, text: str) -> Conditioning | None:
        """The embedding of one text, if held."""
        found = self._held.get((scope, text))
        if found is not None:
            self._held.move_to_end((scope, text))
        return found

    def put(self, scope: Key, text: str, cond: Conditioning) -> None:
        """Hold one more."""
        self._held[(scope, text)] = cond
        while len(self._held) > self._most:
            self._held.popitem(last=False)

    def all(self, call: EncodeText) -> tuple[Conditioning, ...] | None:
        """The whole reply of a call, if every text of it is held."""
        scope = scope_of(call)
        found = [self.get(scope, text) for text in call.texts]
        return None if any(cond is None for cond in found) else tuple(cond for cond in found if cond is not None)


_WHOLE: AbstractContextManager[None] = nullcontext()
_FREE: AbstractContextManager[Sequence[Control]] = nullcontext(())


@dataclass(frozen=True)
class _Group:
    """Rows that share a forward: (number of the call, number of its conditioning) of each, and their conditionings on the device."""

    places: tuple[tuple[int, int], ...]
    cond: Conditioning
    perturbation: Perturbation | None


class _Plans:
    """How the newest batches of `Denoise` fall into forwards. The steps of a job ask for the same conditionings again and again."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._held: OrderedDict[tuple[object, ...], tuple[Sequence[tuple[Conditioning, ...]], tuple[_Group, ...]]] = OrderedDict()

    def of(self, calls: Sequence[Denoise], device: torch.device) -> tuple[_Group, ...]:
        """The groups, in the order of calls and conditionings. The conditionings are held beside them, so that no other object gets
        their ids.
        """
        key = tuple([(*map(id, call.conds), call.perturbations) for call in calls])
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = ([call.conds for call in calls], _grouped(calls, device))
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return found[1]


def _grouped(calls: Sequence[Denoise], device: torch.device) -> tuple[_Group, ...]:
    groups: dict[tuple[object, Perturbation | None], list[tuple[int, int]]] = {}
    for i, call in enumerate(calls):
        for j, cond in enumerate(call.conds):
            groups.setdefault((cond.layout(), call.perturbation(j)), []).append((i, j))
    return tuple(
        _Group(tuple(places), _moved(stack([calls[i].conds[j] for i, j in places]), device), perturbation)
        for (_, perturbation), places in groups.items()
    )


def _moved(cond: Conditioning, device: torch.device) -> Conditioning:
    if cond.tokens.device == device:
        return cond
    pooled = None if cond.pooled is None else cond.pooled.to(device)
    return Conditioning(cond.tokens.to(device), pooled, {name: tensor.to(device) for name, tensor in cond.extras.items()})


class Forward:
    """Executes batches. ``run`` takes calls of one key and gives their replies in order, or raises for all of them."""

    def __init__(self, models: Models, texts: TextCache) -> None:
        self._models = models
        self._texts = texts
        self._plans = _Plans()
        self._how: dict[type[Call], Callable[[Any], list[Any]]] = {
            Denoise: self._denoise,
            DenoiseGrad: lambda calls: [self._denoise_grad(call) for call in calls],
            EncodeText: self._encode_text,
            EncodeImage: self._encode_image,
            Decode: self._decode,
            Embed: self._embed,
            Apply: lambda calls: [self._apply(call) for call in calls],
            Load: lambda calls: [self._load(call) for call in calls],
        }

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Replies to calls of equal key, in order."""
        how = self._how.get(type(calls[0]))
        if how is None:
            raise ModelError(f"The engine cannot run a call of type {type(calls[0]).__name__}.")
        replies = how(calls)
        if self._models.device.type == "cuda":
            torch.cuda.synchronize(self._models.device)  # errors and times belong to this forward, not to the next
        return replies

    def _load(self, call: Load) -> ModelCard:
        with self._models.using(call.model) as model:
            return model.card

    def _denoise(self, calls: Sequence[Denoise]) -> list[Denoised]:
        first = calls[0]
        with self._models.using(first.model) as model:
            denoiser = _denoiser(model, first)
            with self._patched(model, first.patches), self._steering(first.controls) as controls:
                predictions = self._predict(denoiser, calls, [call.x for call in calls], controls)
        return [Denoised(rows[0], rows[-1], tuple(rows)) for rows in predictions]

    def _patched(self, model: Model, patches: Sequence[Patch]) -> AbstractContextManager[None]:
        """The model with patches, those with weights of their own loaded and pinned."""
        adapted = any(isinstance(patch, Adapter) for patch in patches)
        return self._adapted(model, patches) if adapted else model.patched(patches)

    @contextmanager
    def _adapted(self, model: Model, patches: Sequence[Patch]) -> Iterator[None]:
        with ExitStack() as pinned:
            ready = [
                replace(patch, weights=pinned.enter_context(self._models.using(patch.model))) if isinstance(patch, Adapter) else patch
                for patch in patches
            ]
            pinned.enter_context(model.patched(ready))
            yield

    def _steering(self, controls: Sequence[Control]) -> AbstractContextManager[Sequence[Control]]:
        """The controls with their models, loaded and pinned."""
        return self._pinned(controls) if controls else _FREE

    @contextmanager
    def _pinned(self, controls: Sequence[Control]) -> Iterator[Sequence[Control]]:
        with ExitStack() as pinned:
            yield tuple(replace(control, weights=pinned.enter_context(self._models.using(control.model))) for control in controls)

    def _predict(
        self, denoiser: Denoises, calls: Sequence[Denoise], xs: Sequence[Tensor], controls: Sequence[Control]
    ) -> list[list[Tensor]]:
        """x0 per call and conditioning. Rows of one conditioning layout and one perturbation share a forward, in the order of calls and
        conditionings, so that a perturbed row beside them changes no bit of the others.

        Replies go back to where x came from: samplers do their arithmetic on the CPU, the same on every machine.
        """
        device = self._models.device
        found: list[list[Any]] = [[None] * len(call.conds) for call in calls]
        for group in self._plans.of(calls, device):
            places = group.places
            x = torch.cat([xs[i] for i, _ in places]).to(device)
            sigma = torch.tensor([calls[i].sigma for i, _ in places], dtype=torch.float32, device=device)
            steering = [
                replace(control, image=torch.cat([calls[i].controls[n].image for i, _ in places]).to(device))
                for n, control in enumerate(controls)
            ]
            with _perturbed(denoiser, calls[0].model, group.perturbation), _controlled(denoiser, steering):
                x0 = denoiser.denoise(x, sigma, group.cond)
            if x0.shape != x.shape:
                raise ModelError(
                    f"The model {calls[0].model.name!r} answered with shape {tuple(x0.shape)} to an input of shape {tuple(x.shape)}."
                )
            for (i, j), row in zip(group.places, x0.to(xs[0].device).chunk(len(group.places)), strict=True):
                found[i][j] = row
        return found

    def _denoise_grad(self, call: DenoiseGrad) -> tuple[Denoised, float, Tensor]:
        inner = call.denoise
        with self._models.using(inner.model) as model, self._models.using(call.loss.model) as judge, torch.enable_grad():
            denoiser = _denoiser(model, inner)
            x = inner.x.detach().to(self._models.device).clone().requires_grad_(True)
            with self._patched(model, inner.patches), self._steering(inner.controls) as controls:
                rows = self._predict(denoiser, [inner], [x], controls)[0]
            loss = _applier(judge, call.loss).apply(call.loss.method, {**call.loss.inputs, "x0": rows[0]})
            (gradient,) = torch.autograd.grad(loss, x)
        plain = tuple(row.detach().to(inner.x.device) for row in rows)
        return Denoised(plain[0], plain[-1], plain), float(loss.detach()), gradient.to(inner.x.device)

    def _encode_text(self, calls: Sequence[EncodeText]) -> list[tuple[Conditioning, ...]]:
        ref, scope = calls[0].model, scope_of(calls[0])
        wanted = list(dict.fromkeys(text for call in calls for text in call.texts if self._texts.get(scope, text) is None))
        known = {text: cond for call in calls for text in call.texts if (cond := self._texts.get(scope, text)) is not None}
        if wanted:
            with self._models.using(ref) as model, self._patched(model, calls[0].patches):
                encode = cast(EncodesText, _able(model, "encode_text", ref)).encode_text
                if calls[0].negative and hasattr(model, "encode_negative"):
                    encode = cast(EncodesNegatives, model).encode_negative
                known |= dict(zip(wanted, encode(wanted), strict=True))
        for text in wanted:
            self._texts.put(scope, text, known[text])
        return [tuple(known[text] for text in call.texts) for call in calls]

    def _encode_image(self, calls: Sequence[EncodeImage]) -> list[Tensor]:
        with self._models.using(calls[0].model) as model:
            encoder = cast(EncodesImages, _able(model, "encode_image", calls[0].model))
            with self._patched(model, calls[0].patches):
                latents = encoder.encode_image(torch.cat([call.image for call in calls]).to(self._models.device))
        return list(torch.split(latents.to(calls[0].image.device), 1))

    def _decode(self, calls: Sequence[Decode]) -> list[Tensor]:
        with self._models.using(calls[0].model) as model:
            decoder = cast(Decodes, _able(model, "decode", calls[0].model))
            with self._patched(model, calls[0].patches):
                images = decoder.decode(torch.cat([call.latent for call in calls]).to(self._models.device))
        return list(torch.split(images.to(calls[0].latent.device), 1))

    def _embed(self, calls: Sequence[Embed]) -> list[tuple[Tensor, Tensor]]:
        pictures = [picture for call in calls for picture in call.pictures]
        texts = list(dict.fromkeys(text for call in calls for text in call.texts))
        with self._models.using(calls[0].model) as model:
            embedder = cast(Embeds, _able(model, "embed_images", calls[0].model))
            seen = embedder.embed_images(pictures) if pictures else torch.empty(0, 0)
            read = embedder.embed_texts(texts) if texts else torch.empty(0, 0)
        places = {text: place for place, text in enumerate(texts)}
        own = torch.split(seen, [len(call.pictures) for call in calls])
        return [(rows, read[[places[text] for text in call.texts]]) for rows, call in zip(own, calls, strict=True)]

    def _apply(self, call: Apply) -> Any:
        with self._models.using(call.model) as model:
            return _applier(model, call).apply(call.method, call.inputs)


def belongs_on_pool(models: Models, call: Apply) -> bool:
    """Whether the model says that this method is pure CPU work; loads it."""
    with models.using(call.model) as model:
        return _applier(model, call).methods[call.method]


def on_pool(models: Models, call: Call) -> Callable[[], Any]:
    """The work of a call that belongs on the thread pool. A model is pinned while its method runs."""
    if isinstance(call, Host):
        return _without_gradients(call.function, call.args)
    return _without_gradients(_apply_pinned, (models, call))


def _without_gradients(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[], Any]:
    def work() -> Any:
        with torch.no_grad():
            return function(*args)

    return work


def _apply_pinned(models: Models, call: Apply) -> Any:
    with models.using(call.model) as model:
        return cast(Applies, model).apply(call.method, call.inputs)


def _denoiser(model: Model, call: Denoise) -> Denoises:
    denoiser = cast(Denoises, _able(model, "denoise", call.model))
    if call.controls and not hasattr(model, "controlled"):
        raise _cannot(call.model, "take controls")
    return denoiser


def _perturbed(denoiser: Denoises, ref: ModelRef, perturbation: Perturbation | None) -> AbstractContextManager[None]:
    if perturbation is None:
        return _WHOLE
    if not hasattr(denoiser, "perturbed"):
        raise _cannot(ref, "perturb its layers")
    return cast(Perturbs, denoiser).perturbed(perturbation)


def _controlled(denoiser: Denoises, controls: Sequence[Control]) -> AbstractContextManager[None]:
    if not controls:
        return _WHOLE
    return cast(Controlled, denoiser).controlled(controls)


def _applier(model: Model, call: Apply) -> Applies:
    if call.method not in getattr(model, "methods", ()):
        raise _cannot(call.model, f"do {call.method!r}")
    return cast(Applies, model)


def _able(model: Model, method: str, ref: ModelRef) -> Model:
    """The model, if it has the method of a capability. An isinstance with a protocol says the same in fifty times the time."""
    if not hasattr(model, method):
        raise _cannot(ref, f"do {method!r}")
    return model


def _cannot(ref: ModelRef, what: str) -> ModelError:
    return ModelError(f"The model {ref.name!r} cannot {what}.", hint="Choose another model; `gesso models list` shows what each can do.")
