// A conversation is a tree: an edited question or a further answer is a sibling of the one before. Pure functions.

/** 96 random bits; crypto.randomUUID is missing where the page came over plain http. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function createChat() {
  const now = Date.now();
  return { id: newId(), title: "", created: now, updated: now, nodes: {}, head: null };
}

/** The chat with a node more, below `parent` and at the end of what is shown. */
export function addNode(chat, { parent = chat.head, ...node }) {
  const whole = { id: newId(), created: Date.now(), ...node, parent };
  return { ...chat, updated: Date.now(), nodes: { ...chat.nodes, [whole.id]: whole }, head: whole.id };
}

export function changeNode(chat, id, change) {
  const node = chat.nodes[id];
  return node ? { ...chat, nodes: { ...chat.nodes, [id]: { ...node, ...change(node) } } } : chat;
}

/** Nodes from the first question to `id`. */
export function pathTo(chat, id = chat.head) {
  const path = [];
  for (let node = chat.nodes[id]; node; node = chat.nodes[node.parent]) path.unshift(node);
  return path;
}

const childrenOf = (chat, parent) =>
  Object.values(chat.nodes).filter((node) => node.parent === parent).sort((a, b) => a.created - b.created);

export const siblingsOf = (chat, id) => childrenOf(chat, chat.nodes[id].parent).map((node) => node.id);

/** The newest end below `id`. */
export function leafBelow(chat, id) {
  for (;;) {
    const last = childrenOf(chat, id).at(-1);
    if (!last) return id;
    id = last.id;
  }
}

/** The same chat with another of the siblings of `id` shown: `step` 1 for the next, -1 for the one before. */
export function turnTo(chat, id, step) {
  const all = siblingsOf(chat, id);
  const other = all[all.indexOf(id) + step];
  return other ? { ...chat, head: leafBelow(chat, other) } : chat;
}

/** A new chat that holds what led to `id`. */
export function branchAt(chat, id) {
  const nodes = Object.fromEntries(pathTo(chat, id).map((node) => [node.id, node]));
  return { ...createChat(), title: chat.title, nodes, head: id };
}

/** Ids of the bytes of a picture, a clip, frames, or a document with its pages. */
export const blobsOfPart = (part) => [part.blob, ...(part.blobs ?? []), ...(part.pages ?? []).map((page) => page.blob)].filter(Boolean);

export const blobsOf = (chat) => Object.values(chat.nodes).flatMap((node) => (node.media ?? []).flatMap(blobsOfPart));

/** The pictures of a question in the order they are sent: a document gives its pages. */
export const picturesOf = (node) =>
  (node.media ?? []).flatMap((part) => (part.kind === "image" ? [part] : part.kind === "document" ? part.pages : []));

/** First words of a question, as the name of its chat. */
export function titleOf(text, fallback) {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > 60 ? `${line.slice(0, 58).trimEnd()}…` : line || fallback;
}
