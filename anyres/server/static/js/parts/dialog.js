// A dialog of the browser's own kind: it keeps the focus, closes with Escape and gives the focus back.
import { openPanel } from "../state.js";
import { html, useEffect, useRef } from "../view.js";
import { IconButton } from "./icons.js";
import { t } from "../words.js";

export function Dialog({ title, kind = "", children }) {
  const dialog = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  const close = () => openPanel(null);
  return html`<dialog ref=${dialog} class=${kind} aria-label=${title} onClose=${close}
    onClick=${(event) => event.target === dialog.current && close()}>
    <div class="dialog-body">
      <header><h2>${title}</h2><${IconButton} icon="close" label=${t("close")} onClick=${close} /></header>
      ${children}
    </div>
  </dialog>`;
}
