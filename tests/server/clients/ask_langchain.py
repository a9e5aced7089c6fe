"""LangChain's ChatOpenAI, unchanged. Run by tests/server/test_clients.py in an environment of its own."""

import asyncio
import json
import sys

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field


class Receipt(BaseModel):
    """A receipt."""

    total: int
    shop: str = Field(max_length=6)


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def main(url: str, picture: str) -> None:
    knobs = {"model": "tiny", "base_url": f"{url}/v1", "api_key": "none", "temperature": 0, "max_retries": 0}
    chat = ChatOpenAI(**knobs, max_completion_tokens=12)
    long = ChatOpenAI(**knobs, max_completion_tokens=200)
    seen = HumanMessage([{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": "Read it."}])
    modern = HumanMessage(
        [
            {"type": "image", "base64": picture.partition(",")[2], "mime_type": "image/png"},
            {"type": "text", "text": "Read it."},
        ]
    )
    told = {
        "invoke": chat.invoke([seen]).content,
        "standard image block": chat.invoke([modern]).content,
        "stream": "".join(str(chunk.content) for chunk in chat.stream([seen])),
        "batch": [one.content for one in chat.batch([[seen], [seen]])],
        "async": asyncio.run(chat.ainvoke([seen])).content,
        "system": bool(chat.invoke([SystemMessage("Be short."), HumanMessage("Hi")]).usage_metadata),
        "structured": long.with_structured_output(Receipt, method="json_schema").invoke([seen]).model_dump(),
    }
    bound = long.bind_tools([add], tool_choice="add")
    call: AIMessage = bound.invoke("Add 1 and 2")
    told["tools"] = [sorted(one["args"]) for one in call.tool_calls]
    result = ToolMessage("3", tool_call_id=call.tool_calls[0]["id"])
    told["tool result"] = isinstance(chat.bind_tools([add]).invoke(["Add 1 and 2", call, result]), AIMessage)
    streamed = None
    for chunk in bound.stream("Add 1 and 2"):
        streamed = chunk if streamed is None else streamed + chunk
    told["streamed tools"] = [sorted(one["args"]) for one in streamed.tool_calls]
    responses = ChatOpenAI(**knobs, use_responses_api=True, max_completion_tokens=12)
    told["responses"] = responses.invoke([seen]).text
    vectors = OpenAIEmbeddings(
        model="tiny", base_url=f"{url}/v1", api_key="none", check_embedding_ctx_length=False
    ).embed_documents(["a cat", "a dog"])
    told["embeddings"] = [len(one) for one in vectors]
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
