// The page's state in one store, and the small steps every other module takes on it.
import { openDatabase, sweepBlobs } from "./database.js";
import { completed, themeOf } from "./settings.js";
import { changeNode, createChat } from "./tree.js";
import { createStore } from "./view.js";
import { languageOf, setLanguage } from "./words.js";

export const EMPTY_DRAFT = { text: "", media: [], parent: undefined };

export const store = createStore({
  ready: false,
  chats: {}, // by id
  current: null, // id of the chat that is shown; null before the first question of a new one
  draft: EMPTY_DRAFT,
  settings: completed(),
  models: {}, // by endpoint: {list, error, loading}
  running: {}, // AbortControllers of the answers under way, by node
  panel: null, // name of the open dialog
  notice: null, // {text, bad}
  said: "", // what a screen reader is told
  live: null,
});

export let db = null;

export async function openState() {
  db = await openDatabase();
  const settings = completed(await db.get("settings", "settings"));
  const chats = Object.fromEntries((await db.all("chats")).map((chat) => [chat.id, afterReload(chat)]));
  const wanted = new URLSearchParams(location.hash.slice(1)).get("chat");
  store.set({ ready: true, settings, chats, current: chats[wanted] ? wanted : null });
  applyAppearance(settings);
  void sweepBlobs(db, []);
}

/** An answer that was being written when the page was closed stays as far as it had come. */
function afterReload(chat) {
  return Object.values(chat.nodes).reduce((now, node) => {
    if (!node.answers?.some((answer) => answer.status === "running")) return now;
    const answers = node.answers.map((one) => (one.status === "running" ? { ...one, status: "stopped" } : one));
    return changeNode(now, node.id, () => ({ answers }));
  }, chat);
}

export const currentChat = (state = store.get()) => state.chats[state.current] ?? null;

/** Changes a chat in the state; `keep` also writes it to the browser's store. */
export function updateChat(id, change, { keep = true } = {}) {
  const before = store.get().chats[id];
  if (!before) return;
  const chat = change(before);
  store.set(({ chats }) => ({ chats: { ...chats, [id]: chat } }));
  if (keep) void keepChat(chat);
}

export async function keepChat(chat) {
  try {
    await db.put("chats", chat.id, chat);
  } catch {
    notify("noSpace", { bad: true });
  }
}

export function showChat(id) {
  store.set({ current: id, draft: EMPTY_DRAFT, panel: null });
  const url = id ? `#chat=${id}` : location.pathname;
  history.replaceState(null, "", url);
}

/** The chat that is shown, or a new one in its place. */
export function openChat() {
  const present = currentChat();
  if (present) return present;
  const chat = createChat();
  store.set(({ chats }) => ({ chats: { ...chats, [chat.id]: chat }, current: chat.id }));
  history.replaceState(null, "", `#chat=${chat.id}`);
  return chat;
}

export function changeSettings(change) {
  const settings = { ...store.get().settings, ...change };
  store.set({ settings });
  applyAppearance(settings);
  void db.put("settings", "settings", settings);
}

export function applyAppearance(settings) {
  setLanguage(settings.language);
  document.documentElement.lang = languageOf(settings.language);
  document.documentElement.dataset.theme = themeOf(settings);
}

let noticeTimer = 0;

/** A line at the edge of the page for some seconds; `text` is a key of the dictionaries. */
export function notify(text, { bad = false, ...values } = {}) {
  clearTimeout(noticeTimer);
  store.set({ notice: { text, bad, values } });
  noticeTimer = setTimeout(() => store.set({ notice: null }), bad ? 9000 : 4000);
}

export const openPanel = (panel) => store.set({ panel });
