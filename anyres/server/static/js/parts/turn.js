// One question, or the answers to it side by side.
import { copyText, edit, regenerate } from "../answering.js";
import { branch, turn } from "../history.js";
import { store } from "../state.js";
import { picturesOf, siblingsOf } from "../tree.js";
import { classes, html } from "../view.js";
import { Answer } from "./answer.js";
import { Picture } from "./blobs.js";
import { IconButton } from "./icons.js";
import { LiveFrames } from "./live.js";
import { ClipShown } from "./timeline.js";
import { visible } from "../markdown.js";
import { t } from "../words.js";

export const Question = ({ node, chat, running }) => html`
  <article class="turn question" aria-label=${t("yourQuestion")}>
    ${node.media?.length > 0 && html`<div class=${classes("shown-media", picturesOf(node).length > 1 && "several")}>
      ${node.media.map((part, i) => html`<${Shown} key=${i} part=${part} />`)}
    </div>`}
    <div class="said">
      ${node.text && html`<div class="bubble" dir="auto">${visible(node.text)}</div>`}
      <div class="turn-tools">
        <${Siblings} node=${node} chat=${chat} />
        <${IconButton} icon="copy" label=${t("copyQuestion")} onClick=${() => copyText(node.text)} />
        <${IconButton} icon="edit" label=${t("edit")} disabled=${running} onClick=${() => edit(node.id)} />
      </div>
    </div>
  </article>`;

function Shown({ part }) {
  if (part.kind === "video") return html`<${ClipShown} part=${part} />`;
  if (part.kind === "live") return html`<${LiveFrames} part=${part} />`;
  if (part.kind === "document") return part.pages.map((page) => html`<${Shown} key=${page.page} part=${page} />`);
  const name = part.page ? t("pageOf", { name: part.name, page: part.page }) : part.name;
  return html`<button type="button" class="shown-picture" aria-label=${t("showLarge", { name })}
    onClick=${() => store.set({ panel: "viewer", viewed: part })}>
    <${Picture} part=${part} alt=${name} />
    ${part.page && html`<span class="tag">${t("page", { page: part.page })}</span>`}
  </button>`;
}

export function Answers({ node, chat, pictures }) {
  const beside = node.answers.length > 1;
  const tools = html`
    <${IconButton} icon="again" label=${t("regenerate")} onClick=${() => regenerate(node.id)} />
    <${IconButton} icon="branch" label=${t("branch")} onClick=${() => branch(node.id)} />
    <${Siblings} node=${node} chat=${chat} />`;
  return html`<article class=${classes("turn answers", beside && "beside")}>
    <div class="lanes">
      ${node.answers.map((answer, i) => html`<${Answer} key=${i} answer=${answer} nodeId=${node.id} pictures=${pictures}
        headed=${beside} tools=${beside ? null : tools} />`)}
    </div>
    ${beside && html`<div class="turn-tools">${tools}</div>`}
  </article>`;
}

function Siblings({ node, chat }) {
  const all = siblingsOf(chat, node.id);
  if (all.length < 2) return null;
  const at = all.indexOf(node.id);
  return html`<span class="siblings" role="group" aria-label=${t("versions")}>
    <${IconButton} icon="left" label=${t("previousVersion")} disabled=${at === 0} onClick=${() => turn(node.id, -1)} />
    <span>${at + 1} / ${all.length}</span>
    <${IconButton} icon="right" label=${t("nextVersion")} disabled=${at === all.length - 1} onClick=${() => turn(node.id, 1)} />
  </span>`;
}
