import { refreshAll } from "./models.js";
import { applyAppearance, openState, store } from "./state.js";
import { html, render } from "./view.js";
import { App } from "./parts/app.js";

await openState();
render(html`<${App} />`, document.getElementById("app"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => applyAppearance(store.get().settings));
await refreshAll();
