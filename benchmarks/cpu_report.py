"""The table and the plot of benchmarks/cpu_peers.py."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

RESULTS = Path("benchmarks/results.md")
TITLE = "## Qwen2-VL-2B's shape on a CPU, against its peers"
COLUMNS = {
    "load_s": "load s",
    "vision_s": "vision s",
    "prefill_tokens_s": "prefill tokens/s",
    "decode_tokens_s": "decode tokens/s",
    "first_token_s": "first token s",
    "peak_gb": "peak GB",
}
PLOTTED = {"vision_s": "seconds in the vision encoder", "first_token_s": "seconds until the first token"}

Measured = Mapping[str, Mapping[str, float]]


def report(measured: Measured, missing: Sequence[str], *, command: str) -> str:
    """Markdown: where and how it was measured, a table, what is not in it."""
    lines = [
        TITLE,
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {machine()}.",
        f"`{command}`",
        "",
        "Random weights, greedy. A picture is named by its visual tokens. Peak memory counts mapped files too.",
        "llama.cpp's prefill and decode are llama-bench's (512 and 48 tokens of text).",
        "",
        "| | threads | picture |" + "|".join(f" {title} " for title in COLUMNS.values()) + "|",
        "|---" * (len(COLUMNS) + 3) + "|",
    ]
    for side, threads, tokens in sorted(map(parts, measured), key=lambda one: (-one[1], one[2])):
        row = measured[f"{side}, {threads} threads, {tokens} tokens"]
        cells = "|".join(f" {row[name]:.3g} " if name in row else " - " for name in COLUMNS)
        lines.append(f"| {side} | {threads} | {tokens} |{cells}|")
    if missing:
        lines += ["", "Not measured: " + "; ".join(one.partition("\n")[0][:200] for one in missing) + "."]
    return "\n".join(lines) + "\n"


def parts(key: str) -> tuple[str, int, int]:
    """
    >>> parts("llama.cpp Q4_0, 2 threads, 888 tokens")
    ('llama.cpp Q4_0', 2, 888)
    """
    side, threads, tokens = key.split(", ")
    return side, int(threads.split()[0]), int(tokens.split()[0])


def machine() -> str:
    """The processor's name and its instruction sets that matter."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = next((line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")), None)
    cores = text.count("processor\t:")
    flags = [flag for flag in ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8") if f" {flag}" in text]
    return f"{cores} cores of {name or platform.processor()} ({', '.join(flags)})"


def write_section(lines: str) -> None:
    """In place of the section of this title, else at the end."""
    before, found, after = RESULTS.read_text().partition(TITLE)
    rest = after.partition("\n## ")
    RESULTS.write_text(before.rstrip("\n") + "\n\n" + lines + (f"\n## {rest[2]}" if found and rest[1] else ""))


def plot(measured: Measured, path: Path) -> None:
    """Seconds against visual tokens, a line for each side, with two threads."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(PLOTTED), figsize=(11, 4.2), layout="constrained")
    known = [parts(key) for key in measured]
    for panel, (name, title) in zip(panels, PLOTTED.items(), strict=True):
        for side in dict.fromkeys(one[0] for one in known):
            points = sorted(
                (tokens, measured[f"{side}, 2 threads, {tokens} tokens"][name])
                for other, threads, tokens in known
                if other == side and threads == 2
            )
            panel.plot(*zip(*points, strict=True), marker="o", label=side) if points else None
        panel.set(xlabel="visual tokens of the picture", ylabel=title, xscale="log", yscale="log")
        panel.grid(alpha=0.3, which="both")
    panels[0].legend(frameon=False)
    figure.suptitle(f"Qwen2-VL-2B's shape, {machine()}, 2 threads", fontsize=9)
    figure.savefig(path, dpi=110)
