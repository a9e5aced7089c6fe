"""A chat request in the words of the library: its options, its tools, and what its answer must look like."""

from collections.abc import Mapping
from dataclasses import replace

from anyres.chat import GenerationOptions
from anyres.constraints import Boxes, Constraint, JsonObject, JsonSchema, Regex, Tool, ToolCalls
from anyres.server.answering import Question
from anyres.server.conversation import read_conversation
from anyres.server.errors import ApiError
from anyres.server.schema import (
    BoxesReply,
    ChatRequest,
    NamedTool,
    ObjectReply,
    RegexReply,
    ReplyFormat,
    SchemaReply,
    ToolSpec,
)
from anyres.server.service import Service

__all__ = ["options_of", "question_of", "tools_of"]

SCHEMA_BYTES = 64 << 10
SCHEMA_DEPTH = 32


def question_of(request: ChatRequest, service: Service, owner: str) -> Question:
    """Everything about a request that can be wrong without looking at its media. Raises ApiError, AnyresError."""
    tools = tools_of(request)
    return Question(
        read_conversation(request),
        options_of(request, service, _constraint(request, tools)),
        owner=owner,
        salt=service.salt(owner, request.cache_salt),
        tools=tools,
        add_vision_id=bool(request.chat_template_kwargs and request.chat_template_kwargs.add_vision_id),
    )


def options_of(
    request: ChatRequest, service: Service, constraint: Constraint | None = None
) -> tuple[GenerationOptions, ...]:
    """One for each answer; with a seed the i-th draws with `seed + i`."""
    options = _options(request, service, constraint)
    seeds = [None if options.seed is None else options.seed + number for number in range(request.n or 1)]
    return tuple(replace(options, seed=seed) for seed in seeds)


def tools_of(request: ChatRequest) -> tuple[Tool, ...]:
    """Those that may be called; with `tool_choice` "none" the model is told of none."""
    if request.tool_choice == "none":
        return ()
    return tuple(_tool(spec, number) for number, spec in enumerate(request.tools or ()))


def _tool(spec: ToolSpec, number: int) -> Tool:
    parameters = spec.function.parameters or {"type": "object", "properties": {}}
    _check_depth(parameters, f"tools[{number}].function.parameters")
    return Tool(spec.function.name, parameters, spec.function.description or "")


def _options(request: ChatRequest, service: Service, constraint: Constraint | None) -> GenerationOptions:
    if request.top_logprobs is not None and not request.logprobs:
        raise _wrong("top_logprobs", "given without logprobs", "beside logprobs: true")
    vocab_size = service.model.config.text.vocab_size
    for token_id in request.stop_token_ids or ():
        if token_id >= vocab_size:
            raise _wrong("stop_token_ids", f"token id {token_id}", f"ids below {vocab_size}")
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return GenerationOptions(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=None if request.top_k is None else max(0, request.top_k),
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        seed=request.seed,
        stop=stop,
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        logit_bias=_biases(request, vocab_size),
        constraint=constraint,
        stop_loops=request.stop_loops,
        stop_token_ids=tuple(request.stop_token_ids or ()),
        ignore_eos=bool(request.ignore_eos),
        min_tokens=request.min_tokens,
    )


def _biases(request: ChatRequest, vocab_size: int) -> Mapping[int, float] | None:
    biases = {int(key): value for key, value in (request.logit_bias or {}).items()}
    for token_id in biases:
        if token_id >= vocab_size:
            raise _wrong("logit_bias", f"token id {token_id}", f"ids below {vocab_size}")
    return biases or None


def _constraint(request: ChatRequest, tools: tuple[Tool, ...]) -> Constraint | None:
    form = _form(request.response_format)
    choice = request.tool_choice or "auto"
    if not tools:
        if choice not in ("none", "auto"):
            raise _wrong("tool_choice", "given without tools", "beside tools, or none")
        return form
    if form is not None:
        raise _wrong("response_format", "beside tools that may be called", "tool_choice: none beside it")
    name = choice.function.name if isinstance(choice, NamedTool) else str(choice)
    parallel = request.parallel_tool_calls is not False
    return ToolCalls(tools, choice=name, parallel=parallel)


def _form(wanted: ReplyFormat | None) -> Constraint | None:
    match wanted:
        case ObjectReply():
            return JsonObject()
        case SchemaReply():
            schema = wanted.json_schema.schema_
            _check_depth(schema, "response_format.json_schema.schema")
            return JsonSchema(schema)
        case BoxesReply():
            return Boxes(wanted.kind, named=wanted.named, least=wanted.least, most=wanted.most)
        case RegexReply():
            return Regex(wanted.pattern)
        case _:
            return None


def _check_depth(schema: object, param: str) -> None:
    if len(str(schema)) > SCHEMA_BYTES:
        raise _wrong(param, f"{len(str(schema)):,} characters", f"at most {SCHEMA_BYTES:,}")
    level = [schema]
    for _ in range(SCHEMA_DEPTH + 1):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise _wrong(param, f"nested more than {SCHEMA_DEPTH} deep", f"at most {SCHEMA_DEPTH} levels")


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _wrong(param: str, seen: str, allowed: str) -> ApiError:
    return ApiError(400, f"{param}: {seen}; allowed: {allowed}", code="invalid_value", param=param)
