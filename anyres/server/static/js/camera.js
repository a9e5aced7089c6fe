// Camera and screen: one picture, or a frame a second for a question about what is seen now.
import { keepBlob } from "./database.js";
import { drawn } from "./clip.js";
import { addPicture } from "./media.js";
import { db, notify, store } from "./state.js";
import { clipTokens, FACTOR, frameSize, imageSize } from "./sizes.js";
import { limitsOf } from "./models.js";

const FRAME_SIDE = 448;
const LIVE_FPS = 1;

/** A running camera or screen as {stream, video, close}; null, with the reason said, where there is none. */
export async function openSource(kind) {
  const devices = navigator.mediaDevices;
  if (!devices) return notify("needsHttps", { bad: true }), null;
  try {
    const stream = kind === "screen"
      ? await devices.getDisplayMedia({ video: true })
      : await devices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, srcObject: stream });
    await video.play();
    return { stream, video, close: () => stream.getTracks().forEach((track) => track.stop()) };
  } catch (error) {
    const missing = kind === "screen" ? "noScreen" : "noCamera";
    notify(error.name === "NotAllowedError" ? "notAllowed" : missing, { bad: true });
    return null;
  }
}

export async function snap({ video }, name) {
  const blob = await drawn(video, video.videoWidth, video.videoHeight, 0.92);
  await addPicture(blob, name);
}

/** One picture of the screen or a window: asked for, taken, and let go. */
export async function captureScreen() {
  const source = await openSource("screen");
  if (!source) return;
  await snap(source, "screen.jpg");
  source.close();
}

/** Begins to gather a frame a second. The oldest go when the tokens of all would pass the budget. */
export async function startLive() {
  const source = await openSource("camera");
  if (!source) return;
  const { videoWidth, videoHeight } = source.video;
  const scale = Math.min(1, FRAME_SIDE / Math.max(videoWidth, videoHeight));
  const [width, height] = [Math.round(videoWidth * scale), Math.round(videoHeight * scale)];
  const take = async () => {
    const blob = await drawn(source.video, width, height, 0.8);
    if (blob && store.get().live) addFrame({ blob, at: Date.now(), url: URL.createObjectURL(blob) });
  };
  const timer = setInterval(take, 1000 / LIVE_FPS);
  source.stream.getVideoTracks()[0].addEventListener("ended", stopLive);
  store.set({ live: { source, timer, frames: [], dropped: 0, width, height } });
  await take();
}

function addFrame(frame) {
  store.set(({ live, settings }) => {
    const frames = [...live.frames, frame];
    let dropped = live.dropped;
    while (frames.length > 2 && liveTokens(frames.length, live) > settings.live.budget) {
      URL.revokeObjectURL(frames.shift().url);
      dropped += 1;
    }
    return { live: { ...live, frames, dropped } };
  });
}

/** Visual tokens of `count` frames of the camera. A list's frames are sized like pictures: see processing/video.py. */
export function liveTokens(count, { width, height }) {
  const limits = limitsOf(store.get());
  const most = limits.video_max_pixels ?? 256 * FACTOR ** 2;
  const size = limits.video_max_pixels
    ? frameSize(height, width, Math.max(2, count), limits)
    : imageSize(height, width, most, limits);
  return clipTokens(size, count);
}

export function stopLive() {
  const { live } = store.get();
  if (!live) return;
  clearInterval(live.timer);
  live.source.close();
  live.frames.forEach((frame) => URL.revokeObjectURL(frame.url));
  store.set({ live: null });
}

/** What the camera has seen, as a part of a question. */
export async function livePart() {
  const { frames, width, height } = store.get().live;
  const blobs = [];
  for (const frame of frames) blobs.push(await keepBlob(db, frame.blob));
  return { kind: "live", name: "camera", blobs, fps: LIVE_FPS, width, height };
}
