// One answer: its text or structure, the picture it speaks of, its figures, and what can be done with it.
import { copyText, regenerate, stop } from "../answering.js";
import { keyOf, uniquePlaces, withoutUnfinished } from "../grounding.js";
import { statsOf } from "../numbers.js";
import { visible } from "../markdown.js";
import { classes, html, useEffect, useMemo, useRef, useState } from "../view.js";
import { GroundedPicture, huesOf } from "./grounded.js";
import { Failure } from "./failure.js";
import { IconButton } from "./icons.js";
import { JsonAnswer } from "./json.js";
import { Markdown } from "./markdown.js";
import { t } from "../words.js";

/** `tools` are further buttons for the line below. */
export function Answer({ answer, nodeId, pictures, headed, tools }) {
  const root = useRef(null);
  const [active, setActive] = useState(null);
  const running = answer.status === "running";
  const places = useMemo(() => {
    const text = running ? withoutUnfinished(answer.text) : answer.text;
    return answer.schema || !pictures.length ? [] : uniquePlaces(text);
  }, [answer.text, running]);
  useLinkedChips({ root, places, active });
  const over = (event) => setActive(event.target.closest?.("[data-place]")?.dataset.place ?? null);
  const click = (event) => showMark(root.current, event.target.closest?.(".chip"));
  return html`<section class=${classes("answer", places.length && "with-places")} ref=${root} aria-label=${t("answerBy", { model: answer.model })}
    onMouseOver=${over} onMouseLeave=${() => setActive(null)} onFocusIn=${over} onClick=${click}>
    ${headed && html`<h3 class="lane-name">${answer.model || t("noModel")}${answer.endpoint && html` <span>${answer.endpoint}</span>`}</h3>`}
    <${Body} answer=${answer} running=${running} />
    ${places.length > 0 && html`<${GroundedPicture} pictures=${pictures} places=${places} told=${answer.boxes?.[0]?.image}
      active=${active} onActive=${setActive} />`}
    ${answer.tools?.map((tool) => html`<pre class="plain"><b>${visible(tool.name)}</b> ${visible(tool.arguments)}</pre>`)}
    ${answer.error && html`<${Failure} error=${answer.error} onRetry=${() => regenerate(nodeId)} />`}
    <${Footer} answer=${answer} running=${running} nodeId=${nodeId} tools=${tools} />
  </section>`;
}

/** Chips get the colour of their box, and light up with it. */
function useLinkedChips({ root, places, active }) {
  useEffect(() => {
    const hues = huesOf(places);
    const byKey = Object.fromEntries(places.map((place) => [keyOf(place), hues[place.label]]));
    for (const chip of root.current.querySelectorAll(".chip")) {
      const key = chip.dataset.place;
      chip.className = classes("chip", key in byKey && `hue-${byKey[key]}`, key === active && "active");
    }
  });
}

function showMark(root, chip) {
  if (!chip) return;
  const mark = [...root.querySelectorAll(".mark")].find((one) => one.dataset.place === chip.dataset.place);
  mark?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  mark?.focus({ preventScroll: true });
}

function Body({ answer, running }) {
  if (running && !answer.text) return html`<p class="waiting"><i></i><i></i><i></i><span class="hidden">${t("answering")}</span></p>`;
  if (!answer.text) return answer.status === "done" && !answer.tools ? html`<p class="fine">${t("noWords")}</p>` : null;
  if (answer.schema && answer.status === "done") return html`<${JsonAnswer} text=${answer.text} schema=${answer.schema} />`;
  if (answer.schema) return html`<pre class="plain">${visible(answer.text)}</pre>`;
  return html`<${Markdown} text=${answer.text} running=${running} />`;
}

const ENDED = { stopped: "stopped", cut: "cutOff" };

function Footer({ answer, running, nodeId, tools }) {
  const ended = ENDED[answer.status] ?? (answer.finish === "length" ? "lengthReached" : null);
  return html`<footer class="figures">
    <p class="stats">
      ${running && html`<span>${t("writing")}</span>`}
      ${!running && statsOf(answer).map(({ id, text, title }) => html`<span key=${id} data-figure=${id} title=${title}>${text}</span>`)}
      ${!running && ended && html`<span class="ended">${t(ended)}</span>`}
    </p>
    <span class="tools">
      ${running
        ? html`<${IconButton} icon="stop" label=${t("stop")} onClick=${() => stop(nodeId)} />`
        : html`<${IconButton} icon="copy" label=${t("copyAnswer")} onClick=${() => copyText(answer.text)} />${tools}`}
    </span>
  </footer>`;
}
