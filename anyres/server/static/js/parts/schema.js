// The schema that answers are held to: JSON, or just the names of fields.
import { changeSettings } from "../state.js";
import { readSchema } from "../schema.js";
import { html } from "../view.js";
import { IconButton } from "./icons.js";
import { t } from "../words.js";

/** What is wrong with the schema that is on, as a key of the dictionaries; null where nothing is. */
export function schemaFault({ on, text }) {
  if (!on) return null;
  if (!text.trim()) return "schemaEmpty";
  try {
    readSchema(text);
    return null;
  } catch {
    return "schemaWrong";
  }
}

export function SchemaPanel({ schema }) {
  const fault = schemaFault(schema);
  const set = (change) => changeSettings({ schema: { ...schema, ...change } });
  return html`<section class="schema" aria-label=${t("schemaMode")}>
    <label>${t("schemaLabel")}
      <textarea class="code" rows="2" spellcheck="false" value=${schema.text} placeholder="name, total: number, paid: boolean"
        aria-invalid=${Boolean(fault)} aria-describedby="schema-state" onInput=${(event) => set({ text: event.target.value })}></textarea>
    </label>
    <p class="fine" id="schema-state">${t(fault ?? "schemaGood")}</p>
    <${IconButton} icon="close" label=${t("schemaOff")} onClick=${() => set({ on: false })} />
  </section>`;
}
