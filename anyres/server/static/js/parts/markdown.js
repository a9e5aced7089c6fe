// An answer's text on the page: blocks, with buttons on tables and code.
import { blocksOf, htmlOf } from "../markdown.js";
import { withoutUnfinished } from "../grounding.js";
import { copyText } from "../answering.js";
import { rowsOf, toCsv, toMarkdown } from "../tables.js";
import { classes, html, useLayoutEffect, useMemo, useRef } from "../view.js";
import { t } from "../words.js";

export function Markdown({ text, running }) {
  const shown = running ? withoutUnfinished(text) : text;
  const blocks = useMemo(() => blocksOf(shown), [shown]);
  return html`<div class=${classes("markdown", running && "running")} dir="auto">
    ${blocks.map((block, i) => html`<${Block} key=${i} block=${block} raw=${block.raw} running=${running} />`)}
  </div>`;
}

function Block({ block, raw, running }) {
  const place = useRef(null);
  const source = useMemo(() => htmlOf(block), [raw, block.type]);
  useLayoutEffect(() => {
    place.current.innerHTML = source;
    place.current.querySelectorAll("table").forEach(dressTable);
    place.current.querySelectorAll("pre").forEach((pre) => dress(pre, [[t("copy"), () => copyText(pre.textContent)]]));
    place.current.querySelectorAll("input").forEach((box) => box.setAttribute("aria-label", t("task")));
  }, [source]);
  return html`<div class="block" ref=${place}></div>`;
}

function dressTable(table) {
  dress(table, [
    [t("copyCsv"), () => copyText(toCsv(rowsOf(table)))],
    [t("copyMarkdown"), () => copyText(toMarkdown(rowsOf(table)))],
  ]);
}

/** Puts an element into a frame that scrolls by itself, with buttons above. */
function dress(element, actions) {
  const frame = Object.assign(document.createElement("div"), { className: "framed" });
  const tools = Object.assign(document.createElement("div"), { className: "framed-tools" });
  const scroll = Object.assign(document.createElement("div"), { className: "framed-scroll", tabIndex: 0 });
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", t(element.tagName === "TABLE" ? "table" : "code"));
  for (const [text, act] of actions) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick: act });
    tools.append(button);
  }
  element.replaceWith(frame);
  scroll.append(element);
  frame.append(tools, scroll);
}
