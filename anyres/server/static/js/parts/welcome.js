// Before the first question: what this is, and questions to begin with.
import { send } from "../answering.js";
import { addFiles } from "../media.js";
import { modelOf } from "../models.js";
import { store } from "../state.js";
import { html } from "../view.js";
import { Failure } from "./failure.js";
import { refreshAll } from "../models.js";
import { t } from "../words.js";

const EXAMPLES = [
  { file: "scan.png", question: "Read the text.", title: "exampleRead" },
  { file: "shapes.png", question: "Find the red circle.", title: "exampleFind" },
  { file: "shapes.png", question: "How many circles are there?", title: "exampleCount" },
  { file: "sign.mp4", question: "Does anything move?", title: "exampleClip", poster: "sign.jpg" },
];

/** Takes the example's file and asks its question. */
async function begin({ file, question }) {
  const response = await fetch(`static/examples/${file}`);
  const blob = await response.blob();
  await addFiles([new File([blob], file, { type: blob.type })]);
  store.set(({ draft }) => ({ draft: { ...draft, text: question } }));
  await send();
}

export function Welcome({ state }) {
  const lane = state.settings.lanes[0];
  const entry = state.models[lane.endpoint];
  return html`<div class="welcome">
    <h1>${t("welcome")}</h1>
    <p class="lead">${t("welcomeLead")}</p>
    ${entry?.error
      ? html`<${Failure} error=${entry.error} onRetry=${refreshAll} />`
      : html`<ul class="examples" aria-label=${t("examples")}>
        ${EXAMPLES.map((one) => html`<li key=${one.title}><button type="button" disabled=${!modelOf(state, lane)} onClick=${() => begin(one)}>
          <span class="example-picture"><img src=${`static/examples/${one.poster ?? one.file}`} alt="" loading="lazy" /></span>
          <span class="example-text"><b>${t(one.title)}</b><span lang="en">${one.question}</span></span>
        </button></li>`)}
      </ul>`}
    <p class="fine">${t("privacy")}</p>
  </div>`;
}
