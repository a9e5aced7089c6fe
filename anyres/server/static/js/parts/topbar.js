// Which model answers, or which two side by side.
import { modelOf } from "../models.js";
import { changeSettings, openPanel, showChat, store } from "../state.js";
import { endpointOf } from "../settings.js";
import { classes, html } from "../view.js";
import { Icon, IconButton } from "./icons.js";
import { t } from "../words.js";

export function TopBar({ state, onMenu, menuOpen }) {
  const { settings } = state;
  const beside = settings.lanes.length > 1;
  return html`<header class="topbar">
    <button type="button" class="icon-button" aria-label=${t("history")} title=${t("history")} aria-expanded=${menuOpen} onClick=${onMenu}><${Icon} name="menu" /></button>
    <div class=${classes("models", beside && "beside")}>
      ${settings.lanes.map((lane, i) => html`<${ModelChoice} key=${i} state=${state} lane=${lane} at=${i} />`)}
    </div>
    <${IconButton} icon="columns" label=${t("sideBySide")} pressed=${beside} onClick=${toggleBeside} />
    <${IconButton} icon="settings" label=${t("settings")} onClick=${() => openPanel("settings")} />
    <${IconButton} icon="plus" label=${t("newChat")} onClick=${() => showChat(null)} />
  </header>`;
}

/** The second lane begins with another model than the first where there is one. */
function toggleBeside() {
  const { settings, models } = store.get();
  const [first, second] = settings.lanes;
  if (second) return changeSettings({ lanes: [first] });
  const all = settings.endpoints.flatMap((one) => (models[one.id]?.list ?? []).map((model) => ({ endpoint: one.id, model: model.id })));
  const other = all.find((one) => one.endpoint !== first.endpoint || one.model !== first.model);
  return changeSettings({ lanes: [first, other ?? { ...first }] });
}

const SEPARATOR = "\n";

function ModelChoice({ state, lane, at }) {
  const { settings, models } = state;
  const choose = (event) => {
    const [endpoint, model] = event.target.value.split(SEPARATOR);
    changeSettings({ lanes: settings.lanes.map((one, i) => (i === at ? { endpoint, model } : one)) });
  };
  const value = lane.endpoint + SEPARATOR + lane.model;
  const label = settings.lanes.length > 1 ? t("modelNumber", { number: at + 1 }) : t("model");
  const missing = !modelOf(state, lane);
  return html`<select class="model" aria-label=${label} value=${value} onChange=${choose}>
    ${missing && html`<option value=${value} selected>${lane.model || t(models[lane.endpoint]?.loading ? "looking" : "noModel")}</option>`}
    ${settings.endpoints.map(({ id }) => html`<${Group} key=${id} name=${endpointName(settings, id)} alone=${settings.endpoints.length === 1}>
      ${(models[id]?.list ?? []).map((model) => html`<option value=${id + SEPARATOR + model.id}
        selected=${id + SEPARATOR + model.id === value}>${model.id}</option>`)}
    <//>`)}
  </select>`;
}

const Group = ({ name, alone, children }) => (alone ? children : html`<optgroup label=${name}>${children}</optgroup>`);

export const endpointName = (settings, id) => {
  const { name, url } = endpointOf(settings, id);
  return name || url || t("thisServer");
};
