// What the draft would cost, before it is sent: at once by the rules of sizes.js, then as the server counts it.
import { countTokens } from "../api.js";
import { bodyFor } from "../request.js";
import { hasKnobs, laneEndpoint, modelOf } from "../models.js";
import { db, currentChat, store } from "../state.js";
import { FACTOR, imageSize, tokensOf } from "../sizes.js";
import { pathTo } from "../tree.js";
import { useEffect, useState } from "../view.js";
import { plan } from "./timeline.js";

const PAUSE_MS = 400;

/** Visual tokens of a part, and the [height, width] of one picture, as far as they are known here. */
export function costOf(part, settings, limits) {
  if (part.kind === "video") return part.duration ? plan(part, limits) : null;
  if (part.kind === "document") return { tokens: part.pages.reduce((sum, page) => sum + costOf(page, settings, limits).tokens, 0) };
  if (part.kind !== "image") return null;
  const size = imageSize(part.height, part.width, settings.budget * FACTOR ** 2, limits);
  return { size, tokens: tokensOf(size) };
}

/** Visual tokens of the draft by the rules. */
export const draftTokens = (draft, settings, limits) =>
  draft.media.reduce((sum, part) => sum + (costOf(part, settings, limits)?.tokens ?? 0), 0);

/** {tokens, most, media} as the server counts the whole request; null while it has not, or cannot. */
export function useServerCost(state) {
  const [told, setTold] = useState(null);
  const { draft, settings, current } = state;
  const lane = settings.lanes[0];
  const key = JSON.stringify([draft, settings.budget, settings.system, current, lane]);
  const worth = (draft.text.trim() || draft.media.length > 0) && hasKnobs(state, lane);
  useEffect(() => {
    setTold((before) => (worth && before ? { ...before, old: true } : null));
    if (!worth) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => count(abort.signal).then(setTold, () => setTold(null)), PAUSE_MS);
    return () => (clearTimeout(timer), abort.abort());
  }, [key, worth]);
  return told;
}

async function count(signal) {
  const state = store.get();
  const [lane, chat] = [state.settings.lanes[0], currentChat(state)];
  const { text, media, parent } = state.draft;
  const before = chat ? pathTo(chat, parent === undefined ? chat.head : parent) : [];
  const path = [...before, { role: "user", text: text.trim(), media }];
  const settings = { ...state.settings, schema: { on: false, text: "" } };
  const body = await bodyFor({ path, lane: 0, model: lane.model, settings, db, knobs: true });
  const told = await countTokens(laneEndpoint(state, lane), body, signal);
  return { tokens: told.input_tokens, most: modelOf(state, lane)?.max_model_len, media: told.media };
}

