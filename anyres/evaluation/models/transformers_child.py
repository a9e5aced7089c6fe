"""A process that answers with a model of transformers. It is run as a file, in any environment that has transformers,
torch and Pillow; nothing else of this package has to be there.

It is told the model in its first line of stdin, and then a question a line, as JSON; it says an answer a line on
stdout. Pictures come as base64, clips as lists of pictures.
"""

import base64
import io
import json
import sys
from typing import Any

MARK = "anyres:"  # before our lines, as libraries print too


def main() -> None:
    told = json.loads(sys.stdin.readline())
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        model, processor = _load(told)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent tells it
        _say(out, {"broken": _words(error)})
        return
    import torch
    import transformers

    _say(out, {"ready": {"transformers": transformers.__version__, "torch": torch.__version__}})
    for line in sys.stdin:
        try:
            _say(out, _answer(model, processor, json.loads(line)))
        except Exception as error:  # noqa: BLE001 - one question that fails does not end the others
            _say(out, {"error": _words(error)})


def _load(told: dict[str, Any]) -> tuple[Any, Any]:
    import torch
    import transformers

    device = told["device"] if told["device"] != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    dtype = getattr(torch, told["dtype"]) if told["dtype"] else "auto"
    library: Any = transformers
    processor = library.AutoProcessor.from_pretrained(told["source"])
    model = library.AutoModelForImageTextToText.from_pretrained(told["source"], dtype=dtype)
    return model.to(device).eval(), processor


def _answer(model: Any, processor: Any, told: dict[str, Any]) -> dict[str, Any]:
    import torch

    inputs = processor.apply_chat_template(
        [_message(one) for one in told["messages"]],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    ).to(model.device)
    length = inputs["input_ids"].shape[1]
    if told["seed"] is not None:
        torch.manual_seed(told["seed"])
    with torch.inference_mode():
        ids = model.generate(**inputs, **_drawn(told))[0][length:]
    text = processor.decode(ids, skip_special_tokens=True)
    count = len(ids)
    ends = model.generation_config.eos_token_id
    ended = count < told["max_tokens"] or int(ids[-1]) in (ends if isinstance(ends, list) else [ends])
    return {"text": text, "prompt_tokens": length, "completion_tokens": count, "stopped": bool(ended)}


def _drawn(told: dict[str, Any]) -> dict[str, Any]:
    if not told["temperature"]:
        greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        return {"max_new_tokens": told["max_tokens"], **greedy}
    return {"max_new_tokens": told["max_tokens"], "do_sample": True, "temperature": told["temperature"], "top_k": 0}


def _message(told: dict[str, Any]) -> dict[str, Any]:
    return {"role": told["role"], "content": [_part(one) for one in told["content"]]}


def _part(told: dict[str, Any]) -> dict[str, Any]:
    if told["type"] == "image":
        return {"type": "image", "image": _picture(told["image"])}
    if told["type"] == "video":
        return {"type": "video", "video": [_picture(one) for one in told["video"]]}
    return told


def _picture(data: str) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:400]}"


def _say(out: Any, value: dict[str, Any]) -> None:
    out.write(MARK + json.dumps(value) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
