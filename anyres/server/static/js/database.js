// What this browser keeps: chats, the bytes of their pictures, and settings. Nothing of it leaves the browser.
import { blobsOf, newId } from "./tree.js";

const [NAME, VERSION] = ["anyres", 1];
const STORES = ["chats", "blobs", "settings"];

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Opens the database; where the browser has none (private windows of some) a stand-in forgets when the page closes. */
export async function openDatabase() {
  try {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => STORES.forEach((store) => request.result.createObjectStore(store));
    return database(await settled(request));
  } catch {
    return database(null);
  }
}

function database(db) {
  const memory = new Map(STORES.map((store) => [store, new Map()]));
  const store = (name, mode = "readonly") => db.transaction(name, mode).objectStore(name);
  return {
    lasting: db !== null,
    get: async (name, key) => (db ? settled(store(name).get(key)) : memory.get(name).get(key)),
    all: async (name) => (db ? settled(store(name).getAll()) : [...memory.get(name).values()]),
    keys: async (name) => (db ? settled(store(name).getAllKeys()) : [...memory.get(name).keys()]),
    put: async (name, key, value) =>
      db ? settled(store(name, "readwrite").put(value, key)) : memory.get(name).set(key, value),
    remove: async (name, key) => (db ? settled(store(name, "readwrite").delete(key)) : memory.get(name).delete(key)),
  };
}

/** Keeps bytes and gives the id they are found under. */
export async function keepBlob(db, blob) {
  const id = newId();
  await db.put("blobs", id, blob);
  return id;
}

/** Removes bytes that no chat and no draft names any more. */
export async function sweepBlobs(db, inUse) {
  const chats = await db.all("chats");
  const named = new Set([...chats.flatMap(blobsOf), ...inUse]);
  for (const id of await db.keys("blobs")) if (!named.has(id)) await db.remove("blobs", id);
}

export const dataUrlOf = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

/** Chats with their pictures as one JSON text. */
export async function exportChats(db, chats) {
  const ids = [...new Set(chats.flatMap(blobsOf))];
  const blobs = {};
  for (const id of ids) {
    const blob = await db.get("blobs", id);
    if (blob) blobs[id] = await dataUrlOf(blob);
  }
  return JSON.stringify({ format: "anyres-chats", version: 1, chats, blobs });
}

/** Reads what `exportChats` wrote, under new ids, and gives the chats. SyntaxError where the text is something else. */
export async function importChats(db, text) {
  const { format, version, chats, blobs } = JSON.parse(text);
  if (format !== "anyres-chats" || version !== 1 || !Array.isArray(chats)) throw new SyntaxError("format");
  const renamed = new Map();
  for (const [id, url] of Object.entries(blobs ?? {})) renamed.set(id, await keepBlob(db, blobOf(url)));
  const added = chats.map((chat) => withNames(checked(chat), renamed));
  for (const chat of added) await db.put("chats", chat.id, chat);
  return added;
}

/** The bytes of a data: URL; SyntaxError where it is something else. */
export function blobOf(url) {
  const [, type, data] = /^data:([\w/+.-]*);base64,([\w+/=]*)$/.exec(url) ?? [];
  if (data === undefined) throw new SyntaxError("blobs");
  return new Blob([Uint8Array.from(atob(data), (char) => char.charCodeAt(0))], { type });
}

function checked(chat) {
  const nodes = Object.entries(chat.nodes ?? {});
  const sound = nodes.every(([id, node]) =>
    node.id === id && (node.parent === null || node.parent in chat.nodes) &&
    (node.role === "user" ? typeof node.text === "string" : Array.isArray(node.answers)) &&
    (node.answers ?? []).every((answer) => typeof answer.text === "string"));
  if (!sound || !(chat.head in chat.nodes)) throw new SyntaxError("chats");
  return chat;
}

function withNames(chat, renamed) {
  const part = (one) => ({
    ...one,
    ...(one.blob ? { blob: renamed.get(one.blob) } : {}),
    ...(one.blobs ? { blobs: one.blobs.map((id) => renamed.get(id)) } : {}),
    ...(one.pages ? { pages: one.pages.map(part) } : {}),
  });
  const entries = Object.entries(chat.nodes).map(([id, node]) => [
    id, node.media ? { ...node, media: node.media.map(part) } : node,
  ]);
  return { ...chat, id: newId(), nodes: Object.fromEntries(entries) };
}
