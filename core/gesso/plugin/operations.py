"""Operations: what a client can ask for, and their parameters as pydantic models. Torch-free; it runs none."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gesso.errors import InvalidRequest

if TYPE_CHECKING:
    from gesso.plugin.context import JobContext, ResolveContext


class OperationParams(BaseModel):
    """Base of every operation's parameters: unknown fields are refused, values are frozen, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


P = TypeVar("P", bound=OperationParams)


class Operation(Protocol, Generic[P]):
    """What a client can ask for. A plugin registers instances; ``Params`` lives in a torch-free module. One that works for minutes and can
    be set aside at any of its calls has ``patient = True`` beside these: its jobs are of batch whatever is asked, and run one at a time.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Params: ClassVar[type[OperationParams]]

    def resolve(self, ctx: ResolveContext, params: P) -> P:
        """Fill model-dependent defaults and check across fields; raise InvalidRequest naming the field. Pure: no model is loaded."""
        ...

    def run(self, ctx: JobContext, params: P) -> Generator[Any, Any, Any]:
        """The job: yields calls, returns a sequence of `gesso.media.Output`."""
        ...


def validated(operation: Operation[Any], params: Mapping[str, Any]) -> OperationParams:
    """The operation's parameters as their type; InvalidRequest names the first field at fault and says what is wrong with it."""
    try:
        return operation.Params.model_validate(params)
    except ValidationError as fault:
        errors = fault.errors(include_url=False, include_context=False, include_input=False)
        field = ".".join(str(part) for part in errors[0]["loc"])
        said = errors[0]["msg"]
        others = [".".join(str(part) for part in error["loc"]) for error in errors[1:]]
        raise InvalidRequest(
            f"The value of {field or 'the parameters'!r} cannot be used: {said[:1].lower()}{said[1:]}.",
            field=field or None,
            details={"others": others} if others else {},
        ) from fault
