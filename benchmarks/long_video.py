"""A 20-minute 1080p clip, from file to the patches of every pass of the vision encoder: seconds and peak memory.

`python benchmarks/long_video.py [--minutes 20] [--fps 25]` writes the clip with PyAV into a temporary folder (one
change a second, H.264 with B frames, a key frame every 10 seconds), then reads it in a fresh process, whose peak is
measured.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 1920, 1080


def write_clip(path: Path, *, minutes: float, fps: int) -> None:
    """Ten seconds are encoded, once; their packets are written again and again until the clip is long enough."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "bf": "3", "g": "100000"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        packets = [packet for frame in pictures(10 * fps) for packet in stream.encode(frame)] + stream.encode()
        timed = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        length = 10 * fps / (fps * packets[0].time_base)
        for round_ in range(round(minutes * 6)):
            for data, pts, dts, key in timed:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, packets[0].time_base, key
                packet.pts, packet.dts = pts + int(round_ * length), dts + int(round_ * length)
                output.mux(packet)


def pictures(count: int) -> Iterator[av.VideoFrame]:
    """Coloured squares that change once a second."""
    rng = np.random.default_rng(0)
    for number in range(count):
        if number % (count // 10) == 0:
            coarse = rng.integers(0, 256, (HEIGHT // 120, WIDTH // 120, 3), dtype=np.uint8)
            picture = av.VideoFrame.from_ndarray(coarse.repeat(120, 0).repeat(120, 1), format="rgb24")
            planar = picture.reformat(format="yuv420p")
        planar.pts = number
        yield planar


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_clip(path: Path) -> None:
    from anyres.chat import VideoPart
    from anyres.config import ImageProcessorConfig
    from anyres.engine.runner import ENCODE_PATCHES
    from anyres.processing.media import open_video
    from anyres.processing.video import video_to_visual

    before_mb, began = peak_mb(), time.perf_counter()
    with open_video(path) as clip:
        opened_s, frames = time.perf_counter() - began, clip.total_frames
    began, began_cpu = time.perf_counter(), time.process_time()
    visual = video_to_visual(VideoPart(path), config=ImageProcessorConfig())
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    assert visual.pixels_PX is not None
    height, width = visual.resized_size
    file_mb, patches_mb = path.stat().st_size / 2**20, visual.pixels_PX.nbytes / 2**20
    print(f"file {file_mb:.0f} MiB, {frames:,} frames of {WIDTH}x{HEIGHT}; opened and counted in {opened_s:.1f} s")
    print(f"took {len(visual.frame_times_s)} frames at {width}x{height}: {len(visual.pixels_PX) // 4:,} tokens")
    print(f"ready in {seconds:.1f} s ({cpu_s:.1f} s of CPU time)")
    print(f"peak {peak_mb():.0f} MiB: {before_mb:.0f} after the imports, {patches_mb:.0f} the patches returned")
    began_cpu = time.process_time()
    for start in range(0, len(visual.pixels_PX), ENCODE_PATCHES):
        visual.patches(start, start + ENCODE_PATCHES)
    print(f"normalised pass by pass in {time.process_time() - began_cpu:.1f} s of CPU time; peak {peak_mb():.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--read", type=Path, help="only read this clip")
    options = parser.parse_args()
    if options.read is not None:
        read_clip(options.read)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        began = time.perf_counter()
        write_clip(path, minutes=options.minutes, fps=options.fps)
        print(f"written in {time.perf_counter() - began:.0f} s", flush=True)
        subprocess.run([sys.executable, __file__, "--read", str(path)], check=True)


if __name__ == "__main__":
    main()
