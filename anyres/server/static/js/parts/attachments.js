// Pictures and clips of the draft, each with the size it will have and the tokens it costs.
import { removePart } from "../media.js";
import { store } from "../state.js";
import { html } from "../view.js";
import { Picture } from "./blobs.js";
import { costOf } from "./cost.js";
import { Icon, IconButton } from "./icons.js";
import { picturesOf } from "../tree.js";
import { Timeline } from "./timeline.js";
import { grouped } from "../numbers.js";
import { t } from "../words.js";

export const Attachments = ({ draft, settings, limits }) => html`<div class="attachments">
  <ul aria-label=${t("attached")}>
    ${draft.media.map((part, i) => html`<${Attached} key=${part.blob ?? part.blobs[0]} part=${part} at=${i} cost=${costOf(part, settings, limits)} />`)}
  </ul>
  ${draft.media.map((part) => part.kind === "video" && html`<${Timeline} key=${part.blob} part=${part} />`)}
</div>`;

function Attached({ part, at, cost }) {
  const { name } = part;
  const pictures = picturesOf({ media: [part] });
  return html`<li class="attached">
    ${pictures.map((one) => html`<${Thumb} key=${one.blob} part=${one} />`)}
    ${pictures.length === 0 && html`<span class="thumb"><${Icon} name="film" /></span>`}
    <span class="attached-text">
      <span class="attached-name" title=${name}>${name}</span>
      <span class="fine">${cost ? t("tokensShort", { count: grouped(cost.tokens) }) : ""}</span>
    </span>
    <${IconButton} icon="close" label=${t("removeNamed", { name })} onClick=${() => removePart(at)} />
  </li>`;
}

const nameOf = ({ name, page }) => (page ? t("pageOf", { name, page }) : name);

const Thumb = ({ part }) => html`<button type="button" class="thumb" aria-label=${t("showLarge", { name: nameOf(part) })}
  onClick=${() => store.set({ panel: "viewer", viewed: part })}><${Picture} part=${part} alt="" /></button>`;
