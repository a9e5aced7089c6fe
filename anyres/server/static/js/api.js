// What is asked of a server that speaks OpenAI's protocol. An endpoint is {id, name, url, key}; url "" is this server.
import { eventsOf } from "./sse.js";

/** A refusal or a failure, in the server's own words. `code` is the API's, or one of `unreachable`, `blocked`. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = null, param = null, requestId = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, param, requestId, retryAfter });
  }

  /** What is kept with an answer. */
  get record() {
    const { message, status, code, param, requestId, retryAfter } = this;
    return { message, status, code, param, requestId, retryAfter };
  }
}

const blockedOrigins = new Set();
// A browser may refuse a request a moment before it tells why.
const POLICY_EVENT_MS = 50;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
document.addEventListener("securitypolicyviolation", (event) => {
  if (event.effectiveDirective === "connect-src") blockedOrigins.add(new URL(event.blockedURI).origin);
});

/** Paths begin with a slash; an own path is relative to the page, which a proxy may serve below a folder. */
export const urlOf = (endpoint, path) => (endpoint.url ? endpoint.url.replace(/\/+$/, "") + path : path.slice(1));

async function call(endpoint, path, { body, signal, raw = false } = {}) {
  const headers = {
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    ...(endpoint.key ? { Authorization: `Bearer ${endpoint.key}` } : {}),
  };
  const url = urlOf(endpoint, path);
  const options = {
    method: body === undefined ? "GET" : "POST", headers, signal, credentials: "omit", redirect: "error", cache: "no-store",
    body: body === undefined ? undefined : JSON.stringify(body),
  };
  const response = await fetch(url, options).catch(async (error) => {
    if (error.name === "AbortError") throw error;
    await pause(POLICY_EVENT_MS);
    const origin = new URL(url, location.href).origin;
    throw new ApiError("", { code: blockedOrigins.has(origin) ? "blocked" : "unreachable" });
  });
  if (!response.ok) throw await errorOf(response);
  return raw ? response : response.json();
}

async function errorOf(response) {
  const { error = {} } = await response.json().catch(() => ({}));
  const said = typeof error === "string" ? { message: error } : error;
  return new ApiError(said.message || `HTTP ${response.status}`, {
    status: response.status,
    code: said.code ?? null,
    param: said.param ?? null,
    requestId: response.headers.get("x-request-id"),
    retryAfter: Number(response.headers.get("retry-after")) || null,
  });
}

export const listModels = async (endpoint, signal) => (await call(endpoint, "/v1/models", { signal })).data;

/** Tokens a request would have, told by the server before anything is paid. */
export const countTokens = (endpoint, body, signal) =>
  call(endpoint, "/v1/chat/completions/input_tokens", { body, signal });

/** Pictures of a document's pages or the frames a clip is seen as, drawn by the server. */
export const preview = (endpoint, part, signal) => call(endpoint, "/v1/previews", { body: { part }, signal });

/** Chunks of an answer as they come. Raises ApiError, also for an error inside the stream. */
export async function* streamChat(endpoint, body, signal) {
  const whole = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await call(endpoint, "/v1/chat/completions", { body: whole, signal, raw: true });
  const requestId = response.headers.get("x-request-id");
  for await (const chunk of eventsOf(response.body)) {
    if (chunk.error) throw new ApiError(chunk.error.message ?? "", { ...chunk.error, requestId });
    yield chunk;
  }
}
