// Settings: how answers are drawn, how the page looks, which servers are asked.
import { refreshModels } from "../models.js";
import { changeSettings, store } from "../state.js";
import { HERE } from "../settings.js";
import { newId } from "../tree.js";
import { html } from "../view.js";
import { Dialog } from "./dialog.js";
import { endpointName } from "./topbar.js";
import { t } from "../words.js";

const NUMBERS = [
  ["temperature", { min: 0, max: 2, step: 0.05 }],
  ["top_p", { min: 0, max: 1, step: 0.01 }],
  ["top_k", { min: 0, max: 200, step: 1 }],
  ["repetition_penalty", { min: 0.5, max: 2, step: 0.01 }],
  ["max_tokens", { min: 1, max: 32768, step: 1 }],
  ["seed", { min: 0, max: 2 ** 31, step: 1 }],
];

export function Settings({ state }) {
  const { settings } = state;
  return html`<${Dialog} title=${t("settings")}>
    <section><h3>${t("answers")}</h3>
      <label class="stacked">${t("system")}
        <textarea rows="2" value=${settings.system} onInput=${(event) => changeSettings({ system: event.target.value })}></textarea></label>
      <div class="grid">${NUMBERS.map(([name, range]) => html`<${NumberField} key=${name} name=${name} range=${range} sampling=${settings.sampling} />`)}</div>
      <label class="stacked">${t("stopWords")}
        <textarea rows="2" value=${settings.sampling.stop} onInput=${(event) => setSampling({ stop: event.target.value })}></textarea></label>
      <p class="fine">${t("samplingHelp")}</p>
    </section>
    <section><h3>${t("appearance")}</h3>
      <div class="grid">
        <${Choice} label=${t("theme")} name="theme" value=${settings.theme} options=${["auto", "light", "dark"]} />
        <label>${t("language")} <select onChange=${(event) => changeSettings({ language: event.target.value })}>
          ${[["auto", t("auto")], ["en", "English"], ["zh", "中文"]].map(([value, text]) =>
            html`<option value=${value} selected=${value === settings.language} lang=${value === "auto" ? undefined : value}>${text}</option>`)}
        </select></label>
        <label>${t("liveBudget")} <input type="number" min="16" max="16384" step="16" value=${settings.live.budget}
          onChange=${(event) => changeSettings({ live: { budget: Math.max(16, Number(event.target.value) || 512) } })} /></label>
      </div>
    </section>
    <section><h3>${t("servers")}</h3>
      ${settings.endpoints.map((endpoint) => html`<${Endpoint} key=${endpoint.id} endpoint=${endpoint} state=${state} />`)}
      <button type="button" onClick=${addEndpoint}>${t("addServer")}</button>
      <p class="fine">${t("serversHelp")}</p>
    </section>
  <//>`;
}

const setSampling = (change) => changeSettings({ sampling: { ...store.get().settings.sampling, ...change } });

function NumberField({ name, range, sampling }) {
  const set = ({ target }) => setSampling({ [name]: target.value === "" || !target.validity.valid ? null : Number(target.value) });
  return html`<label>${t(name)} <input type="number" ...${range} value=${sampling[name] ?? ""} placeholder=${t("asModel")} onChange=${set} /></label>`;
}

const Choice = ({ label, name, value, options }) => html`<label>${label}
  <select onChange=${(event) => changeSettings({ [name]: event.target.value })}>
    ${options.map((one) => html`<option value=${one} selected=${one === value}>${t(one)}</option>`)}
  </select></label>`;

function addEndpoint() {
  const { endpoints } = store.get().settings;
  changeSettings({ endpoints: [...endpoints, { id: newId(), name: "", url: "", key: "" }] });
}

function changeEndpoint(id, change) {
  const endpoints = store.get().settings.endpoints.map((one) => (one.id === id ? { ...one, ...change } : one));
  changeSettings({ endpoints });
  const changed = endpoints.find((one) => one.id === id);
  if (changed.url || id === HERE.id) void refreshModels(changed);
}

function removeEndpoint(id) {
  const { endpoints, lanes } = store.get().settings;
  changeSettings({
    endpoints: endpoints.filter((one) => one.id !== id),
    lanes: lanes.map((lane) => (lane.endpoint === id ? { endpoint: HERE.id, model: "" } : lane)),
  });
  void refreshModels(HERE);
}

function Endpoint({ endpoint, state }) {
  const { id, name, url, key } = endpoint;
  const here = id === HERE.id;
  const field = (label, value, change, more = {}) => html`<label>${label}
    <input value=${value} autocomplete="off" spellcheck="false" ...${more} onChange=${(event) => changeEndpoint(id, change(event.target.value.trim()))} /></label>`;
  return html`<fieldset class="endpoint"><legend>${endpointName(state.settings, id)}</legend>
    ${!here && field(t("name"), name, (value) => ({ name: value }))}
    ${!here && field(t("address"), url, (value) => ({ url: value.replace(/\/(v1)?\/?$/, "") }), { type: "url", placeholder: "http://127.0.0.1:8001" })}
    ${field(t("key"), key, (value) => ({ key: value }), { type: "password" })}
    <p class="fine" role="status">${endpointState(state.models[id], endpoint)}</p>
    ${!here && html`<button type="button" onClick=${() => removeEndpoint(id)}>${t("removeServer")}</button>`}
  </fieldset>`;
}

function endpointState(entry, { id, url }) {
  if (!entry || (id !== HERE.id && !url)) return "";
  if (entry.loading) return t("looking");
  if (!entry.error) return t("modelsFound", { count: entry.list.length });
  const advice = { blocked: "adviceBlocked", unreachable: "adviceUnreachable" }[entry.error.code] ?? (entry.error.status === 401 ? "adviceKey" : null);
  return advice ? t(advice) : entry.error.message;
}
