// The picture an answer speaks of, with what it names drawn on it.
import { keyOf } from "../grounding.js";
import { classes, html, useState } from "../view.js";
import { Picture } from "./blobs.js";
import { t } from "../words.js";

const HUES = 6;

/** A hue for each name, in the order of the answer. */
export function huesOf(places) {
  const names = [...new Set(places.map((place) => place.label))];
  return Object.fromEntries(names.map((name, i) => [name, i % HUES]));
}

/** `told` is the picture that the server says the places belong to; without it the last one. */
export function GroundedPicture({ pictures, places, told, active, onActive }) {
  const [picked, choose] = useState(null);
  const chosen = Math.min(picked ?? told ?? Infinity, pictures.length - 1);
  const part = pictures[chosen];
  const hues = huesOf(places);
  const alt = t("pictureWith", { name: part.name, what: places.map((one) => one.label || t("place")).join(", ") });
  return html`<figure class="grounded">
    ${pictures.length > 1 && html`<div class="tabs" role="group" aria-label=${t("whichPicture")}>
      ${pictures.map((one, i) => html`<button type="button" key=${i} aria-pressed=${i === chosen} onClick=${() => choose(i)}>
        ${t("pictureNumber", { number: i + 1 })}</button>`)}
    </div>`}
    <div class="canvas">
      <${Picture} key=${part.blob} part=${part} alt=${alt} />
      ${places.map((place) => html`<${Mark} key=${keyOf(place)} place=${place} hue=${hues[place.label]}
        active=${active === keyOf(place)} onActive=${onActive} />`)}
    </div>
  </figure>`;
}

const percent = (thousandths) => `${thousandths / 10}%`;

function Mark({ place, hue, active, onActive }) {
  const key = keyOf(place);
  const { x1, y1, x2, y2, label, point } = place;
  const style = { left: percent(x1), top: percent(y1), width: percent(x2 - x1), height: percent(y2 - y1) };
  const where = t("placeAt", { x1, y1, x2, y2 });
  return html`<button type="button" class=${classes("mark", `hue-${hue}`, point && "point", active && "active", y1 < 70 && "low")}
    style=${style} data-place=${key} aria-label=${`${label || t("place")}: ${where}`}
    onMouseEnter=${() => onActive(key)} onMouseLeave=${() => onActive(null)}
    onFocus=${() => onActive(key)} onBlur=${() => onActive(null)}>
    ${label && html`<span>${label}</span>`}
  </button>`;
}
