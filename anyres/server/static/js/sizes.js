// How large pictures become and what they cost: the rules of anyres/processing (image.py, video.py), tested against it.

export const FACTOR = 28; // one visual token covers 28x28 pixels
export const DEFAULT_MAX_PIXELS = 1280 * FACTOR ** 2;
const MIN_PIXELS = 4 * FACTOR ** 2;
const FRAME_MIN_PIXELS = 128 * FACTOR ** 2;
const FRAME_MAX_PIXELS = 768 * FACTOR ** 2;
const TOTAL_PIXELS = 24576 * FACTOR ** 2;
const [MIN_FRAMES, MAX_FRAMES] = [4, 768];

/** Ties to even, as Python rounds. */
function round(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest > 0.5 ? below + 1 : below;
  return below % 2 === 0 ? below : below + 1;
}

function fit(height, width, minPixels, maxPixels) {
  const sides = [height, width];
  const rounded = sides.map((side) => Math.max(FACTOR, round(side / FACTOR) * FACTOR));
  if (rounded[0] * rounded[1] > maxPixels) {
    const shrink = Math.sqrt((height * width) / maxPixels);
    return sides.map((side) => Math.max(FACTOR, Math.floor(side / shrink / FACTOR) * FACTOR));
  }
  if (rounded[0] * rounded[1] < minPixels) {
    const grow = Math.sqrt(minPixels / (height * width));
    return sides.map((side) => Math.ceil((side * grow) / FACTOR) * FACTOR);
  }
  return rounded;
}

/** [height, width] after resizing. `limits` are the checkpoint's own: {min_pixels, max_pixels}. */
export function imageSize(height, width, maxPixels = DEFAULT_MAX_PIXELS, limits = {}) {
  const [low, high] = [limits.min_pixels ?? MIN_PIXELS, limits.max_pixels ?? Infinity];
  const size = fit(height, width, low, maxPixels);
  const area = size[0] * size[1];
  return maxPixels === high || (low <= area && area <= high) ? size : fit(...size, low, high);
}

export const tokensOf = ([height, width]) => (height / FACTOR) * (width / FACTOR);

/** How many frames of a clip are taken: even, `fps` for each second, at least 4 where there are as many. */
export function frameCount(totalFrames, videoFps, fps = 2) {
  const high = Math.floor(Math.min(MAX_FRAMES, totalFrames) / 2) * 2;
  return round(Math.min(Math.max((totalFrames / videoFps) * fps, MIN_FRAMES), high) / 2) * 2;
}

/** Seconds at which `count` frames lie, spread evenly from `start` to `end`. */
export function frameTimes(start, end, count) {
  return Array.from({ length: count }, (_, i) => start + ((end - start) * i) / Math.max(1, count - 1));
}

/** [height, width] of each of `count` frames of a clip. */
export function frameSize(height, width, count, limits = {}) {
  const low = limits.video_min_pixels ?? FRAME_MIN_PIXELS;
  const most = limits.video_max_pixels ?? FRAME_MAX_PIXELS;
  const high = Math.max(Math.min(most, (TOTAL_PIXELS / count) * 2), Math.floor(low * 1.05));
  const size = fit(height, width, low, high);
  const outer = [Math.min(limits.min_pixels ?? MIN_PIXELS, low), Math.max(limits.max_pixels ?? 0, most)];
  const area = size[0] * size[1];
  return outer[0] <= area && area <= outer[1] ? size : fit(...size, ...outer);
}

/** Visual tokens of `count` frames: two frames share theirs. */
export const clipTokens = (size, count) => Math.ceil(count / 2) * tokensOf(size);

/** The slider's steps: visual tokens a picture may cost, from 16 to 16,384. */
export const BUDGETS = [16, 36, 64, 128, 256, 512, 768, 1280, 2048, 4096, 8192, 16384];
