"use strict";
// Everything a model or a data set wrote goes into text nodes and attributes, never into markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const PAGE = 50;
const $ = (id) => document.getElementById(id);
const state = { benchmark: 0, scoring: 0, first: 0, second: 1, show: "all", category: "", search: "", page: 0, at: null };

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const benchmark = () => DATA.benchmarks[state.benchmark];
const text = (number) => DATA.texts[number];
const answerOf = (sample, entry) => sample.answers[entry] || null;

function scoreOf(sample, entry) {
  const answer = answerOf(sample, entry);
  const found = answer && answer.by[state.scoring];
  return found ? found[2] : null;
}

function isEmpty(sample, entry) {
  const answer = answerOf(sample, entry);
  const found = answer && answer.by[state.scoring];
  return Boolean(found) && found[0] === null;
}

const SHOWN = {
  all: ["all samples", () => true],
  gained: ["first better than second", (a, b) => a !== null && b !== null && a > b],
  lost: ["second better than first", (a, b) => a !== null && b !== null && a < b],
  differ: ["first and second differ", (a, b) => a !== null && b !== null && a !== b],
  wrong: ["first is wrong", (a) => a !== null && a < 1],
  right: ["first is right", (a) => a === 1],
  both: ["both are wrong", (a, b) => a !== null && b !== null && a < 1 && b < 1],
  nothing: ["nothing found in the first", (a, b, sample) => isEmpty(sample, state.first)],
  failed: ["the first failed", (a, b, sample) => Boolean(answerOf(sample, state.first)?.error)],
  cut: ["the first was cut", (a, b, sample) => ["length", "repetition"].includes(answerOf(sample, state.first)?.finish)],
};

function matches(sample) {
  const [, wanted] = SHOWN[state.show];
  if (!wanted(scoreOf(sample, state.first), scoreOf(sample, state.second), sample)) return false;
  if (state.category && !Object.entries(sample.categories).some(([kind, name]) => `${kind}: ${name}` === state.category)) return false;
  if (!state.search) return true;
  const words = [sample.id, sample.question, ...sample.golds, ...sample.options];
  for (const answer of sample.answers) if (answer) words.push(text(answer.raw), answer.error);
  return words.some((word) => word.toLowerCase().includes(state.search));
}

let found = [];

function refresh() {
  found = benchmark().samples.filter(matches);
  state.page = Math.min(state.page, Math.max(0, Math.ceil(found.length / PAGE) - 1));
  if (!found.includes(state.at)) state.at = found[state.page * PAGE] || null;
  drawList();
  drawDetail();
}

function mark(sample, entry) {
  const score = scoreOf(sample, entry);
  if (score === null) return el("span", { title: "not asked" }, "·");
  if (isEmpty(sample, entry)) return el("span", { class: "nothing", title: "no answer" }, "?");
  if (score >= 1) return el("span", { class: "right", title: "right" }, "✓");
  return el("span", { class: "wrong", title: `score ${score}` }, score > 0 ? String(Math.round(score * 100)) : "✗");
}

function drawList() {
  const from = state.page * PAGE;
  const rows = found.slice(from, from + PAGE).map((sample) => {
    const marks = el("span", { class: "marks" });
    benchmark().entries.forEach((_, entry) => marks.append(mark(sample, entry), " "));
    const current = sample === state.at ? "true" : "false";
    const button = el("button", { type: "button", "aria-current": current, on: { click: () => select(sample) } },
      marks, el("span", { class: "q" }, `${sample.id}  ${sample.question}`));
    return el("li", {}, button);
  });
  $("list").replaceChildren(...rows);
  const last = Math.min(from + PAGE, found.length);
  $("count").textContent = found.length ? `${from + 1} to ${last} of ${found.length.toLocaleString("en")} (${benchmark().samples.length.toLocaleString("en")} in all)` : "none";
  $("back").disabled = state.page === 0;
  $("on").disabled = last >= found.length;
}

function select(sample, focus = false) {
  state.at = sample;
  const place = found.indexOf(sample);
  state.page = Math.floor(place / PAGE);
  drawList();
  drawDetail();
  if (focus) $("list").children[place % PAGE]?.firstChild.focus();
  try { history.replaceState(null, "", `#${encodeURIComponent(benchmark().name)}/${encodeURIComponent(sample.id)}`); } catch { /* of a file: page, some browsers */ }
}

function step(by) {
  if (!found.length) return;
  const place = Math.min(found.length - 1, Math.max(0, found.indexOf(state.at) + by));
  select(found[place], true);
}

const SVG = "http://www.w3.org/2000/svg";

function boxes(sample, place) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("viewBox", "0 0 1 1");
  drawn.setAttribute("preserveAspectRatio", "none");
  const add = ([x1, y1, x2, y2, label], colour, dashed) => {
    const rect = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) })) rect.setAttribute(name, value);
    rect.style.stroke = colour;
    if (dashed) rect.style.strokeDasharray = "6 4";
    const tip = document.createElementNS(SVG, "title");
    tip.textContent = label;
    rect.append(tip);
    drawn.append(rect);
  };
  if (place === 0) {
    sample.boxes.forEach((box) => add(box, "var(--good)", true));
    sample.answers.forEach((answer, entry) => answer?.boxes.forEach((box) => add(box, `var(--m${benchmark().entries[entry].colour})`, false)));
  }
  return drawn;
}

function media(sample) {
  const shown = sample.media.map((key, place) => {
    const picture = DATA.pictures[key];
    if (!picture) return el("p", { class: "note" }, DATA.notes[key] || "This picture is not in the report, which would be too large with it.");
    const image = el("img", { src: picture[0], alt: `picture ${place + 1} of the question`, title: `${picture[1]} x ${picture[2]} pixels` });
    return el("div", { class: "picture" }, image, boxes(sample, place));
  });
  return el("div", { class: "media" }, ...shown);
}

function drawDetail() {
  const sample = state.at;
  if (!sample) return $("detail").replaceChildren(el("p", {}, "No sample matches."));
  const parts = [el("h3", {}, sample.id), media(sample), el("pre", {}, sample.question)];
  if (sample.options.length) {
    parts.push(el("pre", {}, sample.options.map((option, place) => `${String.fromCharCode(65 + place)}. ${option}`).join("\n")));
  }
  const golds = sample.golds.length ? sample.golds.join("  |  ") : "none published";
  const kinds = Object.entries(sample.categories).map(([kind, name]) => `${kind}: ${name}`);
  parts.push(el("p", { class: "facts" }, `gold: ${golds}`, kinds.length ? `; ${kinds.join("; ")}` : ""));
  benchmark().entries.forEach((entry, place) => parts.push(answer(sample, entry, place)));
  $("detail").replaceChildren(...parts.filter((part) => part !== null));
}

function answer(sample, entry, place) {
  const told = answerOf(sample, place);
  const swatch = el("i", { style: `background:var(--m${entry.colour})` });
  if (!told) return el("div", { class: "answer" }, el("h4", {}, swatch, entry.name, ": not asked"));
  const parts = [el("h4", {}, swatch, entry.name, " ", mark(sample, place))];
  if (told.error) parts.push(el("p", { class: "facts wrong" }, `failed: ${told.error}`));
  parts.push(el("pre", {}, text(told.raw) || "(nothing)"));
  benchmark().scorings.forEach((name, scoring) => {
    const by = told.by[scoring];
    if (!by) return;
    const value = by[0] === null ? "nothing" : by[0];
    parts.push(el("p", { class: "facts" }, `${name}: ${value} by the rule "${by[1]}", score ${Math.round(by[2] * 1000) / 1000}`));
  });
  if (told.judged !== null) parts.push(el("p", { class: "facts" }, `judge: ${told.judged}`));
  parts.push(el("p", { class: "facts" }, told.facts));
  parts.push(el("details", {}, el("summary", {}, "prompt"), el("pre", {}, text(told.prompt))));
  return el("div", { class: "answer" }, ...parts);
}

function fill(select_, names, chosen) {
  select_.replaceChildren(...names.map((name, place) => el("option", { value: place }, name)));
  select_.value = chosen;
}

function openBenchmark(place) {
  const one = DATA.benchmarks[place];
  Object.assign(state, { benchmark: place, scoring: 0, first: 0, second: Math.min(1, one.entries.length - 1), category: "", page: 0, at: null });
  const names = one.entries.map((entry) => entry.name);
  fill($("scoring"), one.scorings, 0);
  fill($("first"), names, state.first);
  fill($("second"), names, state.second);
  const kinds = new Set();
  one.samples.forEach((sample) => Object.entries(sample.categories).forEach(([kind, name]) => kinds.add(`${kind}: ${name}`)));
  $("category").replaceChildren(el("option", { value: "" }, "all"), ...[...kinds].sort().map((name) => el("option", { value: name }, name)));
  refresh();
}

function listen() {
  const number = (id) => $(id).addEventListener("change", () => { state[id] = Number($(id).value); state.page = 0; refresh(); });
  ["scoring", "first", "second"].forEach(number);
  ["show", "category"].forEach((id) => $(id).addEventListener("change", () => { state[id] = $(id).value; state.page = 0; refresh(); }));
  $("benchmark").addEventListener("change", () => openBenchmark(Number($("benchmark").value)));
  $("search").addEventListener("input", () => { state.search = $("search").value.trim().toLowerCase(); state.page = 0; refresh(); });
  $("back").addEventListener("click", () => { state.page -= 1; select(found[state.page * PAGE]); });
  $("on").addEventListener("click", () => { state.page += 1; select(found[state.page * PAGE]); });
  $("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const run = { j: () => step(1), k: () => step(-1), "/": () => $("search").focus() }[event.key];
    const inList = event.target.closest("#list") && { ArrowDown: () => step(1), ArrowUp: () => step(-1), PageDown: () => step(PAGE), PageUp: () => step(-PAGE), Home: () => step(-found.length), End: () => step(found.length) }[event.key];
    if (run || inList) { event.preventDefault(); (run || inList)(); }
  });
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
}

function begin() {
  theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  if (!DATA.benchmarks.length) return;
  $("samples").hidden = false;
  fill($("benchmark"), DATA.benchmarks.map((one) => one.title), 0);
  $("show").replaceChildren(...Object.entries(SHOWN).map(([key, [words]]) => el("option", { value: key }, words)));
  listen();
  const [name, id] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const place = Math.max(0, DATA.benchmarks.findIndex((one) => one.name === name));
  $("benchmark").value = place;
  openBenchmark(place);
  const wanted = id && benchmark().samples.find((sample) => sample.id === id);
  if (wanted) select(wanted);
}

begin();
