// Questions go out and answers come in, one stream for each lane.
import { ApiError, streamChat } from "./api.js";
import { bodyFor } from "./request.js";
import { hasKnobs, laneEndpoint } from "./models.js";
import { EMPTY_DRAFT, currentChat, db, keepChat, notify, openChat, store, updateChat } from "./state.js";
import { addNode, changeNode, pathTo, titleOf } from "./tree.js";
import { t } from "./words.js";

const KEEP_EVERY_MS = 2000;

/** Sends the draft. What is being answered in the same chat is interrupted. */
export async function send() {
  const { draft } = store.get();
  const text = draft.text.trim();
  if (!text && !draft.media.length) return;
  const { id, title } = openChat();
  stopAll(id);
  const node = { role: "user", text, media: draft.media };
  updateChat(id, (chat) => ({
    ...addNode(chat, draft.parent === undefined ? node : { ...node, parent: draft.parent }),
    title: title || titleOf(text, draft.media[0]?.name ?? ""),
  }));
  store.set({ draft: EMPTY_DRAFT });
  await answer(id);
}

/** A further answer to the question before `nodeId`. */
export async function regenerate(nodeId) {
  const chat = currentChat();
  stopAll(chat.id);
  updateChat(chat.id, (now) => ({ ...now, head: now.nodes[nodeId].parent }));
  await answer(chat.id);
}

async function answer(chatId) {
  const { settings } = store.get();
  const answers = settings.lanes.map((lane) => ({
    model: lane.model, endpoint: laneEndpoint(store.get(), lane).name, text: "", status: "running",
    schema: settings.schema.on ? settings.schema.text : null,
  }));
  updateChat(chatId, (chat) => addNode(chat, { role: "assistant", answers }));
  const nodeId = store.get().chats[chatId].head;
  const abort = new AbortController();
  store.set(({ running }) => ({ running: { ...running, [nodeId]: { abort, chatId } }, said: t("answering") }));
  await Promise.all(settings.lanes.map((lane, i) => runLane({ chatId, nodeId, lane, i, settings, signal: abort.signal })));
  store.set(({ running }) => ({ running: without(running, nodeId), said: spoken(chatId, nodeId) }));
  await keepChat(store.get().chats[chatId]);
}

const without = (object, key) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));

function spoken(chatId, nodeId) {
  const answers = store.get().chats[chatId]?.nodes[nodeId]?.answers ?? [];
  return answers.map(({ error, text }) => (error ? t("answerFailed") : t("answerDone", { text }))).join(" ");
}

async function runLane({ chatId, nodeId, lane, i, settings, signal }) {
  const began = performance.now();
  const progress = writer(chatId, nodeId, i);
  const fields = {};
  try {
    const state = store.get();
    const path = pathTo(state.chats[chatId], state.chats[chatId].nodes[nodeId].parent);
    const body = await bodyFor({ path, lane: i, model: lane.model, settings, db, knobs: hasKnobs(state, lane) });
    for await (const chunk of streamChat(laneEndpoint(state, lane), body, signal)) {
      fields.firstMs ??= performance.now() - began;
      read(chunk, fields, progress);
    }
    fields.status = fields.finish ? "done" : "cut";
  } catch (error) {
    if (signal.aborted) fields.status = "stopped";
    else Object.assign(fields, { status: "error", error: recordOf(error) });
  }
  progress.finish({ ...fields, totalMs: performance.now() - began });
}

function recordOf(error) {
  if (error instanceof ApiError) return error.record;
  return { code: error instanceof SyntaxError ? "malformed" : "unreachable", message: "" };
}

function read(chunk, fields, progress) {
  const choice = chunk.choices?.[0];
  if (choice?.delta?.content) progress.add(choice.delta.content);
  if (choice?.delta?.tool_calls) fields.tools = joined(fields.tools ?? [], choice.delta.tool_calls);
  if (choice?.delta?.boxes) fields.boxes = choice.delta.boxes;
  if (choice?.finish_reason) fields.finish = choice.finish_reason;
  if (chunk.usage) fields.usage = chunk.usage;
  if (chunk.timings) fields.timings = chunk.timings;
}

function joined(tools, pieces) {
  const all = [...tools];
  for (const { index, function: { name = "", arguments: more = "" } = {} } of pieces) {
    all[index] = { name: (all[index]?.name ?? "") + name, arguments: (all[index]?.arguments ?? "") + more };
  }
  return all;
}

/** Gathers pieces and draws them once a frame. */
function writer(chatId, nodeId, i) {
  let [text, frame, kept] = ["", 0, performance.now()];
  const put = (change, keep) =>
    updateChat(chatId, (chat) => changeNode(chat, nodeId, ({ answers }) => ({
      answers: answers.map((one, at) => (at === i ? { ...one, ...change } : one)),
    })), { keep });
  const draw = () => {
    frame = 0;
    const keep = performance.now() - kept > KEEP_EVERY_MS;
    if (keep) kept = performance.now();
    put({ text }, keep);
  };
  return {
    add(piece) {
      text += piece;
      // A hidden tab gets no frames.
      frame ||= document.hidden ? setTimeout(draw, 100) : requestAnimationFrame(draw);
    },
    finish(fields) {
      cancelAnimationFrame(frame);
      clearTimeout(frame);
      put({ text, ...fields }, true);
    },
  };
}

export function stop(nodeId) {
  store.get().running[nodeId]?.abort.abort();
}

export function stopAll(chatId) {
  for (const run of Object.values(store.get().running)) if (run.chatId === chatId) run.abort.abort();
}

export const isRunning = (state) => Object.values(state.running).some((run) => run.chatId === state.current);

/** Takes a question back into the field; sent again it stands beside the first one. */
export function edit(nodeId) {
  const { text, media, parent } = currentChat().nodes[nodeId];
  store.set({ draft: { text, media, parent, edited: nodeId } });
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    notify("copied");
  } catch {
    notify("copyFailed", { bad: true });
  }
}
