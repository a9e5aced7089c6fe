"""Writes vision.npz: what qwen-vl-utils 0.0.8 makes of sizes, frame counts and clips.

Run it in an environment of its own that has qwen-vl-utils==0.0.8, torchvision and av, from the project's root:
`python tests/goldens/make_vision.py`.
"""

import contextlib
import random
from pathlib import Path
from typing import Any

with contextlib.suppress(ImportError):
    import torchvision_cpu  # noqa: F401  makes the CUDA build of torchvision importable beside a CPU build of torch

import av
import numpy as np
import torch
from PIL import Image
from qwen_vl_utils import vision_process

ROOT = Path(__file__).parents[2]
CLIPS = ("sign_book.mkv", "sign_eat.mp4")
NONE = -1  # stands for "not given" and for "raises ValueError"
CROP = 40


def sizes(rng: random.Random, count: int) -> np.ndarray:
    """Rows of height, width, min_pixels, max_pixels, height out, width out."""
    rows = []
    while len(rows) < count:
        height, width = (int(10 ** rng.uniform(0, 4)) for _ in range(2))
        low, high = vision_process.MIN_PIXELS, vision_process.MAX_PIXELS
        if rng.random() < 0.5:
            low, high = sorted(int(10 ** rng.uniform(3.5, 7)) for _ in range(2))
        if rng.random() < 0.2:  # ties of the rounding
            height, width = (14 * rng.randint(1, 300) for _ in range(2))
        try:
            out = vision_process.smart_resize(height, width, min_pixels=low, max_pixels=high)
        except ValueError:
            out = (NONE, NONE)
        rows.append((height, width, low, high, *out))
    return np.array(rows, dtype=np.int64)


def frame_choice(rng: random.Random, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of total, clip fps, fps, nframes, min_frames, max_frames, n out; and all indices one after the other."""
    rows, indices = [], []
    for _ in range(count):
        total = int(10 ** rng.uniform(0.3, 4.8))
        clip_fps = rng.choice([30.0, 25.0, 24000 / 1001, 30000 / 1001, 15.0, 60.0, rng.uniform(1, 120)])
        asked: dict[str, float] = {}
        kind = rng.randrange(4)
        if kind == 0:
            asked["nframes"] = rng.randint(2, 300)
        elif kind == 1:
            asked["fps"] = rng.choice([0.5, 1.0, 2.0, 4.0, rng.uniform(0.01, 30)])
        elif kind == 2:
            asked["min_frames"] = rng.randint(2, 20)
            asked["max_frames"] = rng.randint(20, 400)
        try:
            taken = vision_process.smart_nframes(asked, total_frames=total, video_fps=clip_fps)
            indices.append(torch.linspace(0, total - 1, taken).round().long().numpy())
        except ValueError:
            taken = NONE
        options = [asked.get(name, NONE) for name in ("fps", "nframes", "min_frames", "max_frames")]
        rows.append((total, clip_fps, *options, taken))
    return np.array(rows, dtype=np.float64), np.concatenate(indices).astype(np.int32)


def fetch_clip(frames_NCHW: Any, **options: Any) -> torch.Tensor:
    """qwen-vl-utils' own fetch_video behind a reader that hands it these frames."""

    def reader(_: dict[str, Any]) -> torch.Tensor:
        return frames_NCHW

    vision_process.VIDEO_READER_BACKENDS["given"] = reader
    vision_process.get_video_reader_backend = lambda: "given"
    return vision_process.fetch_video({"video": "clip", **options})


def clip_sizes(rng: random.Random, count: int) -> np.ndarray:
    """Rows of height, width, frames, min_pixels, max_pixels, total_pixels, height out, width out."""
    rows = []
    resize = vision_process.transforms.functional.resize
    vision_process.transforms.functional.resize = lambda frames, size, **_: torch.zeros(1, 1, *size)
    while len(rows) < count:
        height, width = rng.randint(60, 2200), rng.randint(60, 4000)
        frames = 2 * rng.randint(1, 384)
        options = {}
        if rng.random() < 0.3:
            options["min_pixels"] = rng.randint(3136, 200_000)
        if rng.random() < 0.2:
            options["max_pixels"] = rng.randint(200_000, 1_000_000)
        if rng.random() < 0.3:
            options["total_pixels"] = rng.randint(1_000_000, 40_000_000)
        out = fetch_clip(_Shape(frames, height, width), **options)
        given = [options.get(name, NONE) for name in ("min_pixels", "max_pixels", "total_pixels")]
        rows.append((height, width, frames, *given, *out.shape[2:]))
    vision_process.transforms.functional.resize = resize
    return np.array(rows, dtype=np.int64)


class _Shape:
    """As much of a tensor as fetch_video looks at before it resizes."""

    def __init__(self, frames: int, height: int, width: int) -> None:
        self.shape = (frames, 3, height, width)


def real_clips() -> dict[str, np.ndarray]:
    """Frame numbers and corner and centre crops of the resized frames of the real clips."""
    found = {}
    for name in CLIPS:
        with av.open(str(ROOT / "examples" / "clips" / name)) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
            fps = float(container.streams.video[0].average_rate)
        taken = vision_process.smart_nframes({}, total_frames=len(frames), video_fps=fps)
        indices = torch.linspace(0, len(frames) - 1, taken).round().long()
        resized = fetch_clip(torch.from_numpy(frames).permute(0, 3, 1, 2)[indices])
        found[f"{name}_indices"] = indices.numpy()
        found[f"{name}_shape"] = np.array(resized.shape)
        found[f"{name}_crops"] = crops(resized)
    return found


def crops(resized_NCHW: torch.Tensor) -> np.ndarray:
    height, width = resized_NCHW.shape[2:]
    top, left = height // 2, width // 2
    centre = resized_NCHW[:, :, top : top + CROP, left : left + CROP]
    corner = resized_NCHW[:, :, -CROP:, -CROP:]
    return torch.cat([centre, corner]).to(torch.uint8).numpy()


def noise_clip() -> dict[str, np.ndarray]:
    """The hardest content for a filter: noise, shrunk and enlarged."""
    frames = np.random.RandomState(7).randint(0, 256, (2, 150, 210, 3), dtype=np.uint8)
    frames_NCHW = torch.from_numpy(frames).permute(0, 3, 1, 2)
    small = fetch_clip(frames_NCHW, min_pixels=3136, max_pixels=9000)
    large = fetch_clip(frames_NCHW, resized_height=280, resized_width=364)
    return {"noise_small": small.to(torch.uint8).numpy(), "noise_large": crops(large)}


def frame_list() -> np.ndarray:
    """A list of three pictures: four come out, resized by Pillow within the limits of images."""
    frames = np.random.RandomState(8).randint(0, 256, (3, 50, 81, 3), dtype=np.uint8)
    pictures = vision_process.fetch_video({"video": [Image.fromarray(frame) for frame in frames]})
    return np.stack([np.asarray(picture) for picture in pictures])


def main() -> None:
    rng = random.Random(20241120)
    choice, indices = frame_choice(rng, 700)
    np.savez_compressed(
        Path(__file__).with_name("vision.npz"),
        sizes=sizes(rng, 2500),
        frame_choice=choice,
        frame_indices=indices,
        clip_sizes=clip_sizes(rng, 400),
        frame_list=frame_list(),
        **real_clips(),
        **noise_clip(),
    )


if __name__ == "__main__":
    main()
