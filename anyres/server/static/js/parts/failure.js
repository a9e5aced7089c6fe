// What went wrong, in the server's words, and what can be done about it.
import { openPanel } from "../state.js";
import { visible } from "../markdown.js";
import { html } from "../view.js";
import { Icon } from "./icons.js";
import { t } from "../words.js";

const ADVICE = {
  unreachable: "adviceUnreachable",
  blocked: "adviceBlocked",
  invalid_api_key: "adviceKey",
  server_busy: "adviceBusy",
  loading: "adviceLoading",
  draining: "adviceDraining",
  context_length_exceeded: "adviceContext",
  request_too_large: "adviceSmaller",
  model_not_found: "adviceModel",
  malformed: "adviceMalformed",
};

export function Failure({ error, onRetry }) {
  const advice = ADVICE[error.code] ?? (error.status === 401 ? "adviceKey" : null);
  const said = error.message || (advice ? "" : t("unknownFailure"));
  return html`<div class="failure" role="alert">
    <${Icon} name="warn" />
    <div>
      ${said && html`<p>${visible(said)}</p>`}
      ${advice && html`<p>${t(advice, { seconds: error.retryAfter ?? 1 })}</p>`}
      <p class="fine">${[error.status && `HTTP ${error.status}`, error.code, error.param, error.requestId].filter(Boolean).join(" · ")}</p>
      <p class="tools">
        <button type="button" onClick=${onRetry}>${t("tryAgain")}</button>
        ${advice === "adviceKey" && html`<button type="button" onClick=${() => openPanel("settings")}>${t("enterKey")}</button>`}
      </p>
    </div>
  </div>`;
}
