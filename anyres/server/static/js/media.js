// Files, pastes, drops and captures become parts of the draft: {kind, name, blob, width, height, ...}.
import { blobOf, keepBlob } from "./database.js";
import { preview } from "./api.js";
import { openClip } from "./clip.js";
import { hasKnobs, laneEndpoint } from "./models.js";
import { filePart } from "./request.js";
import { HERE } from "./settings.js";
import { db, notify, store } from "./state.js";
import { picturesOf } from "./tree.js";

const MIB = 1 << 20;
// Limits the server would refuse at, told before anything is sent.
const MOST_PICTURE_BYTES = 20 * MIB;
const MOST_INLINE_BYTES = 45 * MIB;
const MOST_PICTURES = 8;

const VIDEO_NAME = /\.(mp4|m4v|mov|mkv|webm|avi|ts)$/i;
const isPdf = (file) => file.type === "application/pdf" || /\.pdf$/i.test(file.name ?? "");
const isVideo = (file) => file.type.startsWith("video/") || VIDEO_NAME.test(file.name ?? "");

const addParts = (parts) =>
  store.set(({ draft }) => ({ draft: { ...draft, media: [...draft.media, ...parts] } }));

/** Puts files into the draft, one after the other; what cannot be taken is said. */
export async function addFiles(files) {
  for (const file of files) {
    const name = file.name || "picture";
    const most = isVideo(file) || isPdf(file) ? MOST_INLINE_BYTES : MOST_PICTURE_BYTES;
    if (file.size > most) notify("tooLarge", { bad: true, name, most: most / MIB });
    else if (file.size === 0) notify("emptyFile", { bad: true, name });
    else if (isPdf(file)) await addDocument(file, name);
    else if (isVideo(file)) await addVideo(file, name);
    else await addPicture(file, name);
  }
}

export async function addPicture(blob, name) {
  const size = await sizeOf(blob);
  if (!size) return notify("notAPicture", { bad: true, name });
  if (pictureCount() >= MOST_PICTURES) return notify("tooMany", { bad: true, most: MOST_PICTURES });
  addParts([{ kind: "image", name, blob: await keepBlob(db, blob), ...size }]);
}

const pictureCount = () => picturesOf(store.get().draft).length;

async function sizeOf(blob) {
  try {
    const picture = await createImageBitmap(blob);
    const { width, height } = picture;
    picture.close();
    return { width, height };
  } catch {
    return null;
  }
}

async function addVideo(file, name) {
  if (store.get().draft.media.some((part) => part.kind === "video")) return notify("oneVideo", { bad: true });
  // A clip that this browser cannot play is sent all the same: the server has decoders of its own.
  const { width = 0, height = 0, duration = 0 } = (await openClip(file)) ?? {};
  const clip = { kind: "video", name, blob: await keepBlob(db, file), width, height, duration };
  addParts([{ ...clip, fps: 2, start: 0, end: duration }]);
}

/** The server draws a document's pages: they are shown, and the document itself is sent. */
async function addDocument(file, name) {
  notify("drawingPages", { name });
  try {
    const { pictures } = await preview(previewEndpoint(), await filePart(file, name));
    const pages = [];
    for (const [i, seen] of pictures.entries()) {
      const { image, original_width: width, original_height: height } = seen;
      pages.push({ kind: "image", name, page: i + 1, blob: await keepBlob(db, blobOf(image)), width, height });
    }
    if (pictureCount() + pages.length > MOST_PICTURES) return notify("tooMany", { bad: true, most: MOST_PICTURES });
    addParts([{ kind: "document", name, blob: await keepBlob(db, file), pages }]);
    return notify("pagesDrawn", { count: pages.length });
  } catch (error) {
    return notify("noPages", { bad: true, name, reason: error.message ?? "" });
  }
}

/** The first lane's server where it knows previews, else the page's own. */
export function previewEndpoint() {
  const state = store.get();
  const [lane] = state.settings.lanes;
  return hasKnobs(state, lane) ? laneEndpoint(state, lane) : HERE;
}

export const removePart = (at) =>
  store.set(({ draft }) => ({ draft: { ...draft, media: draft.media.filter((_, i) => i !== at) } }));

/** Changes the draft's part whose bytes are `blob`. */
export const changePart = (blob, change) =>
  store.set(({ draft }) => ({
    draft: { ...draft, media: draft.media.map((part) => (part.blob === blob ? { ...part, ...change } : part)) },
  }));

/** Files of a paste or a drop. */
export const filesOf = (transfer) => [...(transfer?.files ?? [])];
