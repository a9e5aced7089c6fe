// A conversation as the body of a request.
import { dataUrlOf } from "./database.js";
import { readSchema } from "./schema.js";
import { samplingFields } from "./settings.js";
import { FACTOR, imageSize } from "./sizes.js";

/**
 * The body for what led to the last node of `path`.
 * `knobs`: whether the endpoint knows `max_pixels` and `fps` beside a part; elsewhere pictures are shrunk here.
 */
export async function bodyFor({ path, lane, model, settings, db, knobs }) {
  const budget = settings.budget * FACTOR ** 2;
  const last = path.findLastIndex((node) => node.role === "user");
  const messages = settings.system.trim() ? [{ role: "system", content: settings.system.trim() }] : [];
  for (const [i, node] of path.entries()) {
    if (node.role === "user") messages.push(await questionOf(node, { db, budget, knobs, newest: i === last }));
    else messages.push({ role: "assistant", content: (node.answers[lane] ?? node.answers[0]).text });
  }
  const own = knobs ? { return_boxes: true } : {};
  return { model, messages, ...samplingFields(settings), ...formatOf(settings), ...own };
}

async function questionOf(node, { db, budget, knobs, newest }) {
  // Live frames of earlier questions are not sent again: they would only crowd out what is seen now.
  const media = (node.media ?? []).filter((part) => newest || part.kind !== "live");
  if (!media.length) return { role: "user", content: node.text };
  const parts = [];
  for (const part of media) parts.push(...(await partsOf(part, { db, budget, knobs })));
  if (node.text) parts.push({ type: "text", text: node.text });
  return { role: "user", content: parts };
}

async function partsOf(part, room) {
  const { db, budget, knobs } = room;
  if (part.kind === "video") return [await clipPart(part, room)];
  if (part.kind === "live") return livePart(part, room);
  if (part.kind === "document" && knobs) {
    return [{ ...(await filePart(await db.get("blobs", part.blob), part.name)), max_pixels: budget }];
  }
  const pictures = part.kind === "document" ? part.pages : [part];
  return Promise.all(pictures.map((one) => picturePart(one, room)));
}

export async function clipPart({ blob, fps, start, end, duration }, { db, knobs }) {
  const url = await dataUrlOf(await db.get("blobs", blob));
  const range = { ...(start > 0 ? { video_start: start } : {}), ...(end < duration ? { video_end: end } : {}) };
  return { type: "video_url", video_url: { url }, ...(knobs ? { fps, ...range } : {}) };
}

const FEWEST_FRAMES = 4; // of a list: the server refuses fewer, as DashScope does

async function livePart({ blobs, fps }, { db, knobs }) {
  const frames = [];
  for (const id of blobs) frames.push(await dataUrlOf(await db.get("blobs", id)));
  if (!knobs) return frames.map((url) => ({ type: "image_url", image_url: { url } }));
  while (frames.length < FEWEST_FRAMES) frames.push(frames.at(-1));
  return [{ type: "video", video: frames, fps }];
}

async function picturePart(part, { db, budget, knobs }) {
  const blob = await db.get("blobs", part.blob);
  const url = await dataUrlOf(knobs ? blob : await shrunk(blob, part, budget));
  return { type: "image_url", image_url: { url }, ...(knobs ? { max_pixels: budget } : {}) };
}

export const filePart = async (blob, filename) => ({
  type: "file", file: { filename, file_data: await dataUrlOf(blob) },
});

/** The picture at the size its budget allows, for endpoints that have no such knob. */
export async function shrunk(blob, { width, height }, maxPixels) {
  const [tall, wide] = imageSize(height, width, maxPixels);
  if (tall * wide >= width * height) return blob;
  const picture = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(wide, tall);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, wide, tall);
  picture.close();
  return canvas.convertToBlob({ type: "image/png" });
}

function formatOf({ schema }) {
  if (!schema.on) return {};
  return { response_format: { type: "json_schema", json_schema: { name: "answer", schema: readSchema(schema.text), strict: true } } };
}
