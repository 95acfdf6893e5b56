"""Runs calls on models: one forward for calls of equal key. It decides neither what runs next nor who is to blame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from gesso.engine.batching import Key, Stacked, scope_of
from gesso.engine.calls import (
    Apply,
    Call,
    Decode,
    Denoise,
    Denoised,
    DenoiseGrad,
    Embed,
    EncodeImage,
    EncodeText,
    Graded,
    Host,
    Load,
    Loss,
    NextTokens,
    Token,
    Wait,
)  # fmt: skip
from gesso.engine.plans import Plans
from gesso.engine.sequences import Sequences
from gesso.errors import ModelError
from gesso.model import (
    Adapter,
    Aligns,
    Applies,
    Conditioning,
    Continues,
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
    """The newest embeddings by (scope, text); the least recently used go first. The scope is `scope_of` the call. ``numbers``: the most
    that all hold together, since those that saw a picture are long.
    """

    def __init__(self, most: int = 512, numbers: int = 2**27) -> None:
        self._most = most
        self._most_numbers = numbers
        self._numbers = 0
        self._held: OrderedDict[tuple[Key, str], Conditioning] = OrderedDict()

    def get(self, scope: Key, text: str) -> Conditioning | None:
        """The embedding of one text, if held."""
        found = self._held.get((scope, text))
        if found is not None:
            self._held.move_to_end((scope, text))
        return found

    def put(self, scope: Key, text: str, cond: Conditioning) -> None:
        """Hold one more."""
        before = self._held.pop((scope, text), None)
        self._numbers += cond.tokens.numel() - (0 if before is None else before.tokens.numel())
        self._held[(scope, text)] = cond
        while len(self._held) > self._most or (self._numbers > self._most_numbers and len(self._held) > 1):
            self._numbers -= self._held.popitem(last=False)[1].tokens.numel()

    def all(self, call: EncodeText) -> tuple[Conditioning, ...] | None:
        """The whole reply of a call, if every text of it is held."""
        scope = scope_of(call)
        found = [self.get(scope, text) for text in call.texts]
        return None if any(cond is None for cond in found) else tuple(cond for cond in found if cond is not None)


_WHOLE: AbstractContextManager[None] = nullcontext()
_FREE: AbstractContextManager[Sequence[Control]] = nullcontext(())


class Forward:
    """Executes batches. ``run`` takes calls of one key and gives their replies in order, or raises for all of them."""

    def __init__(self, models: Models, texts: TextCache) -> None:
        self._models = models
        self._texts = texts
        self._plans = Plans()
        self._pictures = Stacked()
        self.sequences = Sequences()
        self._how: dict[type[Call], Callable[..., list[Any]]] = {
            Denoise: self._denoise,
            DenoiseGrad: self._denoise_grad,
            EncodeText: self._encode_text,
            EncodeImage: self._encode_image,
            Decode: self._decode,
            NextTokens: self._next_tokens,
            Embed: self._embed,
            Apply: lambda calls: [self._apply(call) for call in calls],
            Load: lambda calls: [self._load(call) for call in calls],
        }

    def run(self, calls: Sequence[Call], owners: Sequence[object]) -> list[Any]:
        """Replies to calls of equal key, in order. ``owners``: whose each is, for what is kept between calls."""
        how = self._how.get(type(calls[0]))
        if how is None:
            raise ModelError(f"The engine cannot run a call of type {type(calls[0]).__name__}.")
        replies = how(calls, owners) if isinstance(calls[0], NextTokens) else how(calls)
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
        conditionings, so that a perturbed row beside them changes no bit of the others. Leads are the second half of the rows.

        Replies go back to where x came from: samplers do their arithmetic on the CPU, the same on every machine.
        """
        device = self._models.device
        found: list[list[Any]] = [[None] * len(call.conds) for call in calls]
        for group in self._plans.of(calls, device):
            places = group.places
            x = torch.cat([*(xs[i] for i, _ in places), *(lead.x.to(xs[0]) for i, _ in places if (lead := calls[i].lead))]).to(device)
            whose = [i for i, _ in places] * (len(x) // len(places))
            levels = [calls[i].sigma for i in whose]
            if levels.count(levels[0]) == len(levels):  # always so in `exact`
                sigma = torch.full((len(levels),), levels[0], dtype=torch.float32, device=device)
            else:
                sigma = torch.tensor(levels, dtype=torch.float32, device=device)
            steering = [
                replace(control, image=self._pictures.of([calls[i].controls[n].image for i in whose], device))
                for n, control in enumerate(controls)
            ]
            perturbed, aligned = _perturbed(denoiser, calls[0].model, group.perturbation), _aligned(denoiser, calls[0])
            with perturbed, aligned, _controlled(denoiser, steering):
                x0 = denoiser.denoise(x, sigma, group.cond)
            if x0.shape != x.shape:
                raise ModelError(
                    f"The model {calls[0].model.name!r} answered with shape {tuple(x0.shape)} to an input of shape {tuple(x.shape)}."
                )
            for (i, j), row in zip(places, x0[: len(places)].to(xs[0].device).chunk(len(places)), strict=True):
                found[i][j] = row
        return found

    def _denoise_grad(self, calls: Sequence[DenoiseGrad]) -> list[Graded]:
        """The first rows of all calls share the denoiser, the decoder and the backward pass; the other rows want no gradient."""
        inners = [call.denoise for call in calls]
        first = inners[0]
        xs = [inner.x.detach().to(self._models.device).clone().requires_grad_(True) for inner in inners]
        with self._models.using(first.model) as model:
            denoiser = _denoiser(model, first)
            decoder = cast(Decodes, _able(model, "decode", first.model))
            with self._patched(model, first.patches), self._steering(first.controls) as controls:
                with torch.enable_grad():
                    heads = self._predict(denoiser, [_rows_of(inner, slice(1)) for inner in inners], xs, controls)
                    pictures = decoder.decode(torch.cat([row.to(self._models.device) for (row,) in heads])).chunk(len(heads))
                    found = [self._slopes([call.losses[n] for call in calls], pictures, xs) for n in range(len(calls[0].losses))]
                rest = self._predict(denoiser, [_rows_of(inner, slice(1, None)) for inner in inners], xs, controls)
        replies = []
        for i, (head, others) in enumerate(zip(heads, rest, strict=True)):
            rows = tuple(row.detach().to(inners[i].x.device) for row in (*head, *others))
            values, gradients = zip(*(part[i] for part in found), strict=True)
            replies.append(Graded(Denoised(rows[0], rows[-1], rows), values, tuple(slope.to(inners[i].x.device) for slope in gradients)))
        return replies

    def _slopes(self, losses: Sequence[Loss], pictures: Sequence[Tensor], xs: Sequence[Tensor]) -> list[tuple[float, Tensor]]:
        """For each call its loss and the gradient on its x; rows do not mix, so that the sum's gradient is that of each."""
        first = losses[0]
        with self._models.using(first.model) as judge:
            judging = _applier(judge, first.model, first.method)
            found = [
                judging.apply(loss.method, {**loss.inputs, "picture": picture}).sum()
                for loss, picture in zip(losses, pictures, strict=True)
            ]
            gradients = torch.autograd.grad(torch.stack(found).sum(), xs, retain_graph=True)
        for gradient in gradients:
            if not gradient.isfinite().all():
                raise ModelError(f"The model {first.model.name!r} gave a {first.method!r} whose gradient is not finite.")
        return [(float(loss.detach()), gradient) for loss, gradient in zip(found, gradients, strict=True)]

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

    def _next_tokens(self, calls: Sequence[NextTokens], owners: Sequence[object]) -> list[Token]:
        with self._models.using(calls[0].model) as model:
            return self.sequences.replies(cast(Continues, _able(model, "proceed", calls[0].model)), calls, owners)

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
            return _applier(model, call.model, call.method).apply(call.method, call.inputs)


def belongs_on_pool(models: Models, call: Apply) -> bool:
    """Whether the model says that this method is pure CPU work; loads it."""
    with models.using(call.model) as model:
        return _applier(model, call.model, call.method).methods[call.method]


def on_pool(models: Models, call: Call) -> Callable[[], Any]:
    """The work of a call that belongs on the thread pool. A model is pinned while its method runs."""
    if isinstance(call, (Host, Wait)):
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


def _aligned(denoiser: Denoises, call: Denoise) -> AbstractContextManager[None]:
    if call.lead is None:
        return _WHOLE
    if not hasattr(denoiser, "aligned"):
        raise _cannot(call.model, "let pictures follow another")
    return cast(Aligns, denoiser).aligned(call.lead.share)


def _controlled(denoiser: Denoises, controls: Sequence[Control]) -> AbstractContextManager[None]:
    if not controls:
        return _WHOLE
    return cast(Controlled, denoiser).controlled(controls)


def _rows_of(call: Denoise, rows: slice) -> Denoise:
    lead = call.lead and replace(call.lead, conds=call.lead.conds[rows])
    return replace(call, conds=call.conds[rows], perturbations=call.perturbations[rows], lead=lead)


def _applier(model: Model, ref: ModelRef, method: str) -> Applies:
    if method not in getattr(model, "methods", ()):
        raise _cannot(ref, f"do {method!r}")
    return cast(Applies, model)


def _able(model: Model, method: str, ref: ModelRef) -> Model:
    """The model, if it has the method of a capability. An isinstance with a protocol says the same in fifty times the time."""
    if not hasattr(model, method):
        raise _cannot(ref, f"do {method!r}")
    return model


def _cannot(ref: ModelRef, what: str) -> ModelError:
    return ModelError(f"The model {ref.name!r} cannot {what}.", hint="Choose another model; `gesso models list` shows what each can do.")
