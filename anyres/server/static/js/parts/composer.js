// Where a question is written: its media, what they cost, and the field.
import { isRunning, send, stopAll } from "../answering.js";
import { captureScreen, livePart, startLive, stopLive } from "../camera.js";
import { addFiles, filesOf } from "../media.js";
import { limitsOf } from "../models.js";
import { EMPTY_DRAFT, changeSettings, openPanel, store } from "../state.js";
import { classes, html, useEffect, useRef } from "../view.js";
import { Attachments } from "./attachments.js";
import { Budget } from "./budget.js";
import { IconButton, Icon } from "./icons.js";
import { LivePanel } from "./live.js";
import { SchemaPanel, schemaFault } from "./schema.js";
import { t } from "../words.js";

const setText = (text) => store.set(({ draft }) => ({ draft: { ...draft, text } }));

/** Sends the draft, with what the camera has seen where it is live. */
async function submit() {
  const { draft, live, settings } = store.get();
  if (schemaFault(settings.schema)) return;
  if (live && draft.text.trim() && live.frames.length) {
    const part = await livePart();
    store.set({ draft: { ...draft, media: [...draft.media, part] } });
  }
  await send();
}

export function Composer({ state }) {
  const { draft, settings, live } = state;
  const field = useRef(null);
  const running = isRunning(state);
  const empty = !draft.text.trim() && draft.media.length === 0;
  useFittingHeight(field, draft.text);
  useEffect(() => {
    if (matchMedia("(hover: hover)").matches || draft.edited) field.current?.focus();
  }, [state.current, draft.edited]);
  return html`<form class="composer" aria-label=${t("yourQuestion")} onSubmit=${(event) => (event.preventDefault(), submit())}>
    ${draft.edited && html`<p class="editing"><${Icon} name="edit" /> ${t("editing")}
      <button type="button" onClick=${() => store.set({ draft: EMPTY_DRAFT })}>${t("cancel")}</button></p>`}
    ${live && html`<${LivePanel} live=${live} budget=${settings.live.budget} />`}
    ${settings.schema.on && html`<${SchemaPanel} schema=${settings.schema} />`}
    ${draft.media.length > 0 && html`<${Attachments} draft=${draft} settings=${settings} limits=${limitsOf(state)} />`}
    <${Budget} state=${state} />
    <textarea ref=${field} rows="1" value=${draft.text} aria-label=${t("yourQuestion")} dir="auto"
      placeholder=${t(live ? "askLive" : "ask")} enterkeyhint="send"
      onInput=${(event) => setText(event.target.value)} onKeyDown=${onKey} onPaste=${onPaste}></textarea>
    <div class="bar">
      <${Tools} settings=${settings} live=${live} />
      ${running && html`<button type="button" class="send stop" aria-label=${t("stop")} title=${t("stop")} onClick=${() => stopAll(state.current)}>
        <${Icon} name="stop" /></button>`}
      ${(!running || !empty) && html`<button type="submit" class="send" aria-label=${t("send")} title=${t("send")} disabled=${empty}>
        <${Icon} name="send" /></button>`}
    </div>
  </form>`;
}

function Tools({ settings, live }) {
  const picker = useRef(null);
  const { schema } = settings;
  return html`<div class="bar-tools">
    <input ref=${picker} class="hidden" type="file" multiple tabindex="-1" aria-label=${t("addFiles")}
      accept="image/*,video/*,.mkv,.pdf,application/pdf"
      onChange=${async (event) => (await addFiles([...event.target.files]), (event.target.value = ""))} />
    <${IconButton} icon="clip" label=${t("addFiles")} onClick=${() => picker.current.click()} />
    <${IconButton} icon="camera" label=${t("takePicture")} onClick=${() => openPanel("camera")} />
    <${IconButton} icon="screen" label=${t("captureScreen")} kind="wide-only" onClick=${captureScreen} />
    <${IconButton} icon="live" label=${t("liveCamera")} pressed=${Boolean(live)} onClick=${() => (live ? stopLive() : startLive())} />
    <${IconButton} icon="braces" label=${t("schemaMode")} pressed=${schema.on}
      onClick=${() => changeSettings({ schema: { ...schema, on: !schema.on } })} />
  </div>`;
}

function useFittingHeight(field, text) {
  useEffect(() => {
    const { style } = field.current;
    style.height = "auto";
    style.height = `${field.current.scrollHeight}px`;
  }, [text]);
}

function onKey(event) {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    void submit();
  }
}

function onPaste(event) {
  const files = filesOf(event.clipboardData);
  if (!files.length) return;
  event.preventDefault();
  void addFiles(files);
}

/** Takes files dropped anywhere on the page. */
export function useDrop(onOver) {
  useEffect(() => {
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    const over = (event) => hasFiles(event) && (event.preventDefault(), onOver(true));
    const leave = (event) => event.relatedTarget === null && onOver(false);
    const drop = (event) => {
      onOver(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      void addFiles(filesOf(event.dataTransfer));
    };
    const all = [["dragover", over], ["dragleave", leave], ["drop", drop]];
    for (const [name, act] of all) document.addEventListener(name, act);
    return () => all.forEach(([name, act]) => document.removeEventListener(name, act));
  }, []);
}

export const DropHint = ({ shown }) => html`<div class=${classes("drop-hint", shown && "shown")} aria-hidden="true">
  <p>${t("dropHere")}</p></div>`;
