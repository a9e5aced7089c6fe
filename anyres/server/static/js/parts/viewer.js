// A picture in full: as it is, or as the model sees it.
import { limitsOf } from "../models.js";
import { db } from "../state.js";
import { FACTOR, imageSize, tokensOf } from "../sizes.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { Picture } from "./blobs.js";
import { Dialog } from "./dialog.js";
import { grouped } from "../numbers.js";
import { t } from "../words.js";

export function Viewer({ state }) {
  const { viewed: part, settings } = state;
  const [seen, setSeen] = useState(false);
  const size = imageSize(part.height, part.width, settings.budget * FACTOR ** 2, limitsOf(state));
  const values = { width: part.width, height: part.height, wide: size[1], tall: size[0], tokens: grouped(tokensOf(size)) };
  return html`<${Dialog} title=${part.name} kind="viewer">
    <div class="segments" role="group" aria-label=${t("view")}>
      <button type="button" aria-pressed=${!seen} onClick=${() => setSeen(false)}>${t("asItIs")}</button>
      <button type="button" aria-pressed=${seen} onClick=${() => setSeen(true)}>${t("asSeen")}</button>
    </div>
    <div class="stage">${seen ? html`<${Seen} part=${part} size=${size} />` : html`<${Picture} part=${part} alt=${part.name} />`}</div>
    <p class="fine">${t("sizes", values)}</p>
  <//>`;
}

/** The picture at the size it is given to the model, enlarged again, with a line around each visual token. */
function Seen({ part, size: [tall, wide] }) {
  const canvas = useRef(null);
  useEffect(() => {
    void db.get("blobs", part.blob).then((blob) => createImageBitmap(blob, { resizeWidth: wide, resizeHeight: tall, resizeQuality: "high" }))
      .then((picture) => draw(canvas.current, picture, wide, tall));
  }, [part.blob, wide, tall]);
  return html`<canvas ref=${canvas} class="seen" role="img" aria-label=${t("asSeen")}></canvas>`;
}

function draw(canvas, picture, wide, tall) {
  if (!canvas) return;
  const zoom = Math.max(1, Math.min(4, Math.floor(1600 / Math.max(wide, tall))));
  Object.assign(canvas, { width: wide * zoom, height: tall * zoom });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  context.strokeStyle = "rgb(15 107 92 / 45%)";
  for (let x = FACTOR; x < wide; x += FACTOR) context.strokeRect(x * zoom, -1, 0, canvas.height + 2);
  for (let y = FACTOR; y < tall; y += FACTOR) context.strokeRect(-1, y * zoom, canvas.width + 2, 0);
}
