// Chats kept in this browser.
import { find, load, remove, rename, saveAll } from "../history.js";
import { openPanel, showChat } from "../state.js";
import { classes, html, useMemo, useRef, useState } from "../view.js";
import { Icon, IconButton } from "./icons.js";
import { t } from "../words.js";

export function Sidebar({ state, open, onClose }) {
  const [query, setQuery] = useState("");
  const chats = useMemo(() => find(state.chats, query), [state.chats, query]);
  const file = useRef(null);
  const show = (id) => (showChat(id), onClose());
  return html`<nav class=${classes("sidebar", open && "open")} aria-label=${t("history")} inert=${!open}>
    <div class="sidebar-head">
      <span class="brand"><img src="static/icon.svg" alt="" width="24" height="24" /> anyres</span>
      <${IconButton} icon="close" label=${t("closeHistory")} kind="narrow-only" onClick=${onClose} />
    </div>
    <button type="button" class="new-chat" onClick=${() => show(null)}><${Icon} name="plus" /> ${t("newChat")}</button>
    <label class="search"><${Icon} name="search" /><span class="hidden">${t("search")}</span>
      <input type="search" value=${query} placeholder=${t("search")} onInput=${(event) => setQuery(event.target.value)} /></label>
    <ul class="chat-list">
      ${chats.map((chat) => html`<${Entry} key=${chat.id} chat=${chat} current=${chat.id === state.current} onShow=${() => show(chat.id)} />`)}
    </ul>
    ${chats.length === 0 && html`<p class="fine none">${t(query ? "nothingFound" : "noChats")}</p>`}
    <div class="sidebar-foot">
      <button type="button" onClick=${saveAll}>${t("export")}</button>
      <button type="button" onClick=${() => file.current.click()}>${t("import")}</button>
      <input ref=${file} class="hidden" type="file" accept="application/json,.json" tabindex="-1" aria-label=${t("import")}
        onChange=${(event) => (load(event.target.files[0]), (event.target.value = ""))} />
      <button type="button" onClick=${() => openPanel("keys")}>${t("keys")}</button>
    </div>
  </nav>`;
}

function Entry({ chat, current, onShow }) {
  const [renaming, setRenaming] = useState(false);
  const [sure, setSure] = useState(false);
  const done = (event) => (rename(chat.id, event.target.value), setRenaming(false));
  if (renaming) {
    return html`<li><input class="rename" aria-label=${t("rename")} value=${chat.title} ref=${(field) => field?.focus()} onBlur=${done}
      onKeyDown=${(event) => event.key === "Enter" && done(event)} /></li>`;
  }
  if (sure) {
    return html`<li class="sure"><span>${t("deleteSure")}</span>
      <button type="button" class="danger" onClick=${() => remove(chat.id)}>${t("delete")}</button>
      <button type="button" onClick=${() => setSure(false)}>${t("keep")}</button></li>`;
  }
  return html`<li class=${current ? "current" : ""}>
    <button type="button" class="chat-title" aria-current=${current ? "page" : undefined} onClick=${onShow}>${chat.title || t("newChat")}</button>
    <span class="entry-tools">
      <${IconButton} icon="edit" label=${t("renameNamed", { name: chat.title })} onClick=${() => setRenaming(true)} />
      <${IconButton} icon="bin" label=${t("deleteNamed", { name: chat.title })} onClick=${() => setSure(true)} />
    </span></li>`;
}
