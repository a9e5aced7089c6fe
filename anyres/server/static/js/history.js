// What is done with whole chats: rename, delete, branch, search, out to a file and back.
import { exportChats, importChats, sweepBlobs } from "./database.js";
import { currentChat, db, keepChat, notify, showChat, store, updateChat } from "./state.js";
import { stopAll } from "./answering.js";
import { blobsOfPart, branchAt, turnTo } from "./tree.js";

export const turn = (nodeId, step) => updateChat(currentChat().id, (chat) => turnTo(chat, nodeId, step));

export function branch(nodeId) {
  const chat = branchAt(currentChat(), nodeId);
  store.set(({ chats }) => ({ chats: { ...chats, [chat.id]: chat } }));
  void keepChat(chat);
  showChat(chat.id);
  notify("branched");
}

export const rename = (id, title) => updateChat(id, (chat) => ({ ...chat, title: title.trim() || chat.title }));

export async function remove(id) {
  stopAll(id);
  const { [id]: gone, ...chats } = store.get().chats;
  store.set({ chats });
  if (store.get().current === id) showChat(null);
  await db.remove("chats", id);
  await sweepBlobs(db, blobsOfDraft());
  notify("deleted");
}

const blobsOfDraft = () => store.get().draft.media.flatMap(blobsOfPart);

/** Chats that hold all words of `query`, newest first. */
export function find(chats, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const textOf = (chat) =>
    [chat.title, ...Object.values(chat.nodes).flatMap((node) => node.text ?? node.answers.map((one) => one.text))]
      .join("\n").toLowerCase();
  return Object.values(chats)
    .filter((chat) => words.length === 0 || words.every((word) => textOf(chat).includes(word)))
    .sort((a, b) => b.updated - a.updated);
}

export function download(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export async function saveAll() {
  const text = await exportChats(db, Object.values(store.get().chats));
  download(text, `anyres-chats-${new Date().toISOString().slice(0, 10)}.json`, "application/json");
}

export async function load(file) {
  try {
    const added = await importChats(db, await file.text());
    store.set(({ chats }) => ({ chats: { ...chats, ...Object.fromEntries(added.map((chat) => [chat.id, chat])) } }));
    notify("imported", { count: added.length });
  } catch {
    notify("importFailed", { bad: true });
  }
}
