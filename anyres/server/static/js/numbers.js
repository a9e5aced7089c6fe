// Figures of an answer in words.
import { t } from "./words.js";

export const grouped = (value) => Math.round(value).toLocaleString(document.documentElement.lang || "en");

const seconds = (ms) => (ms < 9950 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000));

/** Short pieces for the line below an answer: tokens read and written, what came from caches, time and speed. */
export function statsOf({ usage, timings, firstMs, totalMs }) {
  const parts = [];
  if (usage) {
    parts.push({ id: "read", text: t("tokensIn", { count: grouped(usage.prompt_tokens) }), title: readDetail(usage) });
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    if (cached > 0) parts.push({ id: "cached", text: t("tokensCached", { count: grouped(cached) }), title: t("cachedHelp") });
    parts.push({ id: "written", text: t("tokensOut", { count: grouped(usage.completion_tokens) }) });
  }
  if (totalMs !== undefined) {
    const title = firstMs === undefined ? undefined : t("firstAfter", { seconds: seconds(firstMs) });
    parts.push({ id: "time", text: t("seconds", { seconds: seconds(totalMs) }), title });
  }
  const speed = speedOf({ usage, timings, firstMs, totalMs });
  if (speed) parts.push({ id: "speed", text: t("tokensPerSecond", { count: speed >= 10 ? grouped(speed) : speed.toFixed(1) }) });
  return parts;
}

function readDetail({ prompt_tokens_details: details }) {
  if (!details) return undefined;
  const kinds = [["text_tokens", "textTokens"], ["image_tokens", "imageTokens"], ["video_tokens", "videoTokens"]];
  return kinds.filter(([field]) => details[field]).map(([field, key]) => t(key, { count: grouped(details[field]) })).join(" · ");
}

/** Tokens a second: the server's figure, else from the clock here. */
function speedOf({ usage, timings, firstMs, totalMs }) {
  if (timings?.predicted_per_second > 0) return timings.predicted_per_second;
  const spent = totalMs - firstMs;
  return usage?.completion_tokens > 1 && spent > 50 ? ((usage.completion_tokens - 1) * 1000) / spent : null;
}
