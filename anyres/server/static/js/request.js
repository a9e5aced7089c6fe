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

async function partsOf(part, { db, budget, knobs }) {
  if (part.kind === "video") {
    const url = await dataUrlOf(await db.get("blobs", part.blob));
    const { fps, start, end } = part;
    const range = { ...(start > 0 ? { video_start: start } : {}), ...(end < part.duration ? { video_end: end } : {}) };
    return [{ type: "video_url", video_url: { url }, ...(knobs ? { fps, ...range } : {}) }];
  }
  if (part.kind === "live") {
    const frames = [];
    for (const id of part.blobs) frames.push(await dataUrlOf(await db.get("blobs", id)));
    return knobs
      ? [{ type: "video", video: frames, fps: part.fps }]
      : frames.map((url) => ({ type: "image_url", image_url: { url } }));
  }
  const blob = await db.get("blobs", part.blob);
  const most = part.budget ? part.budget * FACTOR ** 2 : budget;
  const url = await dataUrlOf(knobs ? blob : await shrunk(blob, part, most));
  return [{ type: "image_url", image_url: { url }, ...(knobs ? { max_pixels: most } : {}) }];
}

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
