// A clip: which part of it is looked at, and which moments are taken as frames.
import { openClip, pictureAt, timeText } from "../clip.js";
import { preview } from "../api.js";
import { changePart, previewEndpoint } from "../media.js";
import { clipPart } from "../request.js";
import { hasKnobs, limitsOf } from "../models.js";
import { db, store } from "../state.js";
import { clipTokens, frameCount, frameSize, frameTimes } from "../sizes.js";
import { html, useEffect, useMemo, useState } from "../view.js";
import { useBlobUrl } from "./blobs.js";
import { Icon } from "./icons.js";
import { grouped } from "../numbers.js";
import { t } from "../words.js";

// Browsers do not tell a clip's own rate; it only matters for clips shorter than four of its frames.
const LIKELY_FPS = 30;
const MOST_SHOWN = 16;
const RATES = [0.2, 0.5, 1, 2, 4, 8];

/** {times, tokens} of a clip's part of the draft. */
export function plan(part, limits) {
  const length = part.end - part.start;
  const count = frameCount(Math.max(2, Math.round(length * LIKELY_FPS)), LIKELY_FPS, part.fps);
  const size = frameSize(part.height, part.width, count, limits);
  return { times: frameTimes(part.start, part.end, count), tokens: clipTokens(size, count), size };
}

/** Small pictures of moments, one after the other as they are found; at most 16 of them. */
function usePictures(id, times) {
  const [pictures, setPictures] = useState([]);
  const key = times.map((time) => time.toFixed(2)).join();
  useEffect(() => {
    let gone = false;
    const made = [];
    const timer = setTimeout(async () => {
      const clip = await openClip(await db.get("blobs", id));
      for (const time of clip ? times : []) {
        const blob = await pictureAt(clip, time).catch(() => null);
        if (gone || !blob) break;
        made.push({ time, url: URL.createObjectURL(blob) });
        setPictures([...made]);
      }
      if (clip) URL.revokeObjectURL(clip.video.src);
    }, 250);
    return () => {
      gone = true;
      clearTimeout(timer);
      made.forEach((one) => URL.revokeObjectURL(one.url));
    };
  }, [id, key]);
  return pictures;
}

const spread = (times) =>
  times.length <= MOST_SHOWN ? times : frameTimes(0, times.length - 1, MOST_SHOWN).map((i) => times[Math.round(i)]);

const SETTLED_MS = 700;

/** What the server takes of the clip: its frames and their cost; null until it has answered. */
function useSeen(part) {
  const [seen, setSeen] = useState(null);
  const state = store.get();
  const knobs = hasKnobs(state, state.settings.lanes[0]);
  useEffect(() => {
    setSeen(null);
    if (!knobs) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      const asked = await clipPart(part, { db, knobs });
      preview(previewEndpoint(), asked, abort.signal).then((told) => {
        setSeen(told);
        changePart(part.blob, { times: told.pictures.map((one) => one.time_s) });
      }, () => {});
    }, SETTLED_MS);
    return () => (clearTimeout(timer), abort.abort());
  }, [part.blob, part.fps, part.start, part.end, knobs]);
  return seen;
}

const SeenStrip = ({ pictures }) => html`<ol class="strip" aria-label=${t("chosenFrames")} tabindex="0" data-seen
  style=${{ "--shape": pictures[0].width / pictures[0].height }}>
  ${pictures.map((one) => html`<li key=${one.time_s}><img src=${one.image} alt="" /><span class="time">${timeText(one.time_s)}</span></li>`)}
</ol>`;

function Strip({ part, times }) {
  const shown = useMemo(() => spread(times), [times.join()]);
  const pictures = usePictures(part.blob, shown);
  return html`<ol class="strip" aria-label=${t("chosenFrames")} tabindex="0" style=${{ "--shape": part.width / part.height }}>
    ${shown.map((time, i) => html`<li key=${i}>
      ${pictures[i] ? html`<img src=${pictures[i].url} alt="" />` : html`<span class="blank"></span>`}
      <span class="time">${timeText(time)}</span>
    </li>`)}
  </ol>`;
}

/** The draft's clip with its range and rate. */
export function Timeline({ part }) {
  const seen = useSeen(part);
  if (!part.duration) {
    return html`<div class="timeline">
      <p class="fine"><${Icon} name="film" /> ${t("clipUnseen", { name: part.name })}</p>
      ${seen && html`<${SeenStrip} pictures=${seen.pictures} />`}
    </div>`;
  }
  const planned = plan(part, limitsOf(store.get()));
  const times = seen ? seen.pictures.map((one) => one.time_s) : planned.times;
  const [tall, wide] = seen ? [seen.pictures[0].height, seen.pictures[0].width] : planned.size;
  const set = (change) => changePart(part.blob, { ...change, times: null });
  const least = Math.min(0.2, part.duration);
  return html`<div class="timeline">
    ${seen ? html`<${SeenStrip} pictures=${seen.pictures} />` : html`<${Strip} part=${part} times=${times} />`}
    <${Track} part=${part} times=${times} />
    <div class="timeline-knobs">
      <label>${t("from")} <input type="range" min="0" max=${part.duration} step="0.1" value=${part.start} aria-valuetext=${timeText(part.start)}
        onInput=${(event) => set({ start: Math.min(Number(event.target.value), part.end - least) })} /><output>${timeText(part.start)}</output></label>
      <label>${t("to")} <input type="range" min="0" max=${part.duration} step="any" value=${part.end} aria-valuetext=${timeText(part.end)}
        onInput=${(event) => set({ end: Math.max(Number(event.target.value), part.start + least) })} /><output>${timeText(part.end)}</output></label>
      <label>${t("rate")} <select value=${part.fps} onChange=${(event) => set({ fps: Number(event.target.value) })}>
        ${RATES.map((rate) => html`<option value=${rate} selected=${rate === part.fps}>${t("framesPerSecond", { rate })}</option>`)}
      </select></label>
    </div>
    <p class="fine">${t("clipCost", { count: seen?.frames ?? times.length, width: wide, height: tall, tokens: grouped(seen?.tokens ?? planned.tokens) })}</p>
  </div>`;
}

/** The whole clip as a line, the part that is looked at, and a tick for each frame. */
function Track({ part, times }) {
  const place = (time) => `${(100 * time) / part.duration}%`;
  return html`<div class="track" aria-hidden="true">
    <span class="range" style=${{ left: place(part.start), right: `calc(100% - ${place(part.end)})` }}></span>
    ${times.slice(0, 400).map((time) => html`<i style=${{ left: place(time) }}></i>`)}
  </div>`;
}

/** A clip of a question already asked, with the moments the server said it takes. */
export function ClipShown({ part }) {
  const url = useBlobUrl(part.blob);
  const times = part.times ?? plan(part, limitsOf(store.get())).times;
  return html`<div class="clip-shown">
    ${part.duration
      ? html`<video src=${url ?? undefined} controls playsinline preload="metadata" width=${part.width} height=${part.height} aria-label=${part.name}></video>
        <${Strip} part=${part} times=${times} />`
      : html`<p class="file"><${Icon} name="film" /> ${part.name}</p>`}
  </div>`;
}
