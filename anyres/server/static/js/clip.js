// A clip as this browser sees it: its size and length, and pictures of single moments.

const PATIENCE_MS = 8000;

const once = (target, name) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(name)), PATIENCE_MS);
    const settle = (act) => (event) => (clearTimeout(timer), act(event));
    target.addEventListener(name, settle(resolve), { once: true });
    target.addEventListener("error", settle(() => reject(new Error("error"))), { once: true });
  });

/** {video, width, height, duration} of a clip's bytes, or null where this browser cannot play it. */
export async function openClip(blob) {
  const video = Object.assign(document.createElement("video"), { muted: true, preload: "auto", playsInline: true });
  video.src = URL.createObjectURL(blob);
  try {
    await once(video, "loadeddata");
    const duration = Number.isFinite(video.duration) ? video.duration : await realDuration(video);
    const { videoWidth: width, videoHeight: height } = video;
    return width && duration > 0 ? { video, width, height, duration } : null;
  } catch {
    return null;
  }
}

/** Recordings without a length in their header tell it once their end was looked for. */
async function realDuration(video) {
  const seeked = once(video, "seeked");
  video.currentTime = 1e7;
  await seeked;
  return video.currentTime;
}

/** A small picture of the moment at `second`, as a blob. */
export async function pictureAt({ video, width, height, duration }, second, side = 160) {
  const wanted = Math.min(second, Math.max(0, duration - 0.05));
  if (Math.abs(video.currentTime - wanted) > 1e-3) {
    const seeked = once(video, "seeked");
    video.currentTime = wanted;
    await seeked;
  }
  const scale = Math.min(1, side / Math.max(width, height));
  return drawn(video, Math.round(width * scale), Math.round(height * scale));
}

/** What a video element or a camera shows now, as a JPEG. */
export function drawn(source, width, height, quality = 0.85) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").drawImage(source, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}

export const timeText = (seconds) => {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
};
