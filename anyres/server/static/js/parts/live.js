// The camera while it is live, and the frames of a question that was asked about it.
import { liveTokens, stopLive } from "../camera.js";
import { classes, html, useEffect, useRef } from "../view.js";
import { useBlobUrl } from "./blobs.js";
import { IconButton } from "./icons.js";
import { grouped } from "../numbers.js";
import { t } from "../words.js";

export function LivePanel({ live, budget }) {
  const video = useRef(null);
  useEffect(() => {
    video.current.srcObject = live.source.stream;
  }, [live.source]);
  const tokens = liveTokens(live.frames.length, live);
  return html`<section class="live" aria-label=${t("liveCamera")}>
    <video ref=${video} autoplay muted playsinline aria-label=${t("liveCamera")}></video>
    <div class="live-side">
      <p class="live-state"><span class="dot"></span>${t("live")}
        <span class="fine">${t("liveState", { count: live.frames.length, tokens: grouped(tokens), budget: grouped(budget), dropped: live.dropped })}</span></p>
      <ol class="strip small newest">
        ${live.frames.toReversed().map((frame) => html`<li key=${frame.at}><img src=${frame.url} alt="" /></li>`)}
      </ol>
      <meter min="0" max=${budget} value=${tokens} aria-label=${t("liveBudget")}></meter>
      <p class="fine">${t("liveHelp")}</p>
    </div>
    <${IconButton} icon="close" label=${t("liveEnd")} onClick=${stopLive} />
  </section>`;
}

export const LiveFrames = ({ part }) => html`<ol class=${classes("strip", "small")} aria-label=${t("framesSeen", { count: part.blobs.length })} tabindex="0">
  ${part.blobs.map((id) => html`<li key=${id}><${LiveFrame} id=${id} /></li>`)}
</ol>`;

const LiveFrame = ({ id }) => html`<img src=${useBlobUrl(id) ?? undefined} alt="" />`;
