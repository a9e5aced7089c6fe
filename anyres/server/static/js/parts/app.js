// The page: history at the side, the conversation, the field below, dialogs above.
import { isRunning, stopAll } from "../answering.js";
import { currentChat, openPanel, showChat, store } from "../state.js";
import { classes, html, useEffect, useState, useStore } from "../view.js";
import { Camera } from "./camera.js";
import { Composer, DropHint, useDrop } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Dialog } from "./dialog.js";
import { Settings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { TopBar } from "./topbar.js";
import { Viewer } from "./viewer.js";
import { Welcome } from "./welcome.js";
import { t } from "../words.js";

const WIDE = "(min-width: 900px)";

export function App() {
  const state = useStore(store);
  const [menuOpen, setMenuOpen] = useState(matchMedia(WIDE).matches);
  const [dropping, setDropping] = useState(false);
  useDrop(setDropping);
  useKeys(() => setMenuOpen((open) => !open));
  const chat = currentChat(state);
  const closeMenu = () => !matchMedia(WIDE).matches && setMenuOpen(false);
  return html`<div class=${classes("page", menuOpen && "with-sidebar")}>
    <a class="skip" href="#question">${t("skip")}</a>
    <${Sidebar} state=${state} open=${menuOpen} onClose=${closeMenu} />
    ${menuOpen && html`<div class="scrim" onClick=${closeMenu}></div>`}
    <div class="main">
      <${TopBar} state=${state} menuOpen=${menuOpen} onMenu=${() => setMenuOpen(!menuOpen)} />
      <main class="scroller" tabindex="-1">
        ${chat?.head ? html`<${Conversation} key=${chat.id} chat=${chat} state=${state} />` : html`<${Welcome} state=${state} />`}
      </main>
      <div class="below" id="question" tabindex="-1"><${Composer} state=${state} />
        <p class="fine caution">${t("caution")}</p></div>
    </div>
    <${Panel} state=${state} />
    <${DropHint} shown=${dropping} />
    <div class="hidden" role="status" aria-live="polite">${state.said}</div>
    <div class="notices" role="status">${state.notice && html`<p class=${classes("notice", state.notice.bad && "bad")}>
      ${t(state.notice.text, state.notice.values)}</p>`}</div>
  </div>`;
}

function Panel({ state }) {
  if (state.panel === "settings") return html`<${Settings} state=${state} />`;
  if (state.panel === "viewer") return html`<${Viewer} state=${state} />`;
  if (state.panel === "camera") return html`<${Camera} />`;
  if (state.panel === "keys") return html`<${Keys} />`;
  return null;
}

const KEYS = [
  ["Enter", "keySend"], ["Shift Enter", "keyLine"], ["Esc", "keyStop"], ["/", "keyField"], ["Alt N", "keyNew"],
  ["Alt H", "keyHistory"], ["?", "keyKeys"],
];

const Keys = () => html`<${Dialog} title=${t("keys")} kind="small"><dl class="keys">
  ${KEYS.map(([keys, what]) => html`<div><dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd>`)}</dt><dd>${t(what)}</dd></div>`)}
</dl><//>`;

const writing = (target) => /^(input|textarea|select)$/i.test(target.tagName);

function useKeys(toggleMenu) {
  useEffect(() => {
    const act = (event) => {
      const state = store.get();
      const field = document.querySelector(".composer > textarea");
      if (event.key === "Escape" && !state.panel && isRunning(state)) stopAll(state.current);
      else if (event.altKey && event.code === "KeyN") (event.preventDefault(), showChat(null), field?.focus());
      else if (event.altKey && event.code === "KeyH") (event.preventDefault(), toggleMenu());
      else if (writing(event.target) || event.ctrlKey || event.metaKey || state.panel) return;
      else if (event.key === "/") (event.preventDefault(), field?.focus());
      else if (event.key === "?") openPanel("keys");
    };
    document.addEventListener("keydown", act);
    return () => document.removeEventListener("keydown", act);
  }, []);
}
