// A structured answer: checked against its schema, and shown as a tree that folds.
import { problemsOf, readSchema } from "../schema.js";
import { copyText } from "../answering.js";
import { html, useMemo } from "../view.js";
import { Icon } from "./icons.js";
import { visible } from "../markdown.js";
import { t } from "../words.js";

export function JsonAnswer({ text, schema }) {
  const result = useMemo(() => checked(text, schema), [text, schema]);
  if (!result.parsed) return html`<${Verdict} problems=${[{ path: "", text: t("noJson") }]} /><pre class="plain">${visible(text)}</pre>`;
  return html`<div class="json">
    <${Verdict} problems=${result.problems} />
    <div class="tree"><${Value} value=${result.value} depth=${0} /></div>
    <div class="tools">
      <button type="button" onClick=${() => copyText(JSON.stringify(result.value, null, 2))}>${t("copyJson")}</button>
    </div>
  </div>`;
}

function checked(text, schema) {
  try {
    const value = JSON.parse(text);
    return { parsed: true, value, problems: problemsOf(value, readSchema(schema)) };
  } catch {
    return { parsed: false };
  }
}

const Verdict = ({ problems }) => problems.length === 0
  ? html`<p class="verdict good"><${Icon} name="check" />${t("fitsSchema")}</p>`
  : html`<div class="verdict bad"><p><${Icon} name="warn" />${t("breaksSchema", { count: problems.length })}</p>
      <ul>${problems.map((one) => html`<li><code>${one.path || "/"}</code> ${one.text}</li>`)}</ul></div>`;

function Value({ name, value, depth }) {
  const key = name === undefined ? null : html`<span class="key">${visible(String(name))}</span>`;
  if (value === null || typeof value !== "object") {
    const kind = value === null ? "null" : typeof value;
    return html`<div class="leaf">${key}<span class=${`value ${kind}`}>${visible(kind === "string" ? value : String(value))}</span></div>`;
  }
  const entries = Array.isArray(value) ? value.map((item, i) => [i + 1, item]) : Object.entries(value);
  const size = t(Array.isArray(value) ? "items" : "fields", { count: entries.length });
  return html`<details open=${depth < 3}>
    <summary>${key}<span class="size">${size}</span></summary>
    ${entries.map(([one, item]) => html`<${Value} key=${one} name=${one} value=${item} depth=${depth + 1} />`)}
  </details>`;
}
