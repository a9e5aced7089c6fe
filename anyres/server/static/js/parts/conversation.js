// The turns of a chat, from the first question to the newest answer; stays at the end while that is in view.
import { pathTo, picturesOf } from "../tree.js";
import { html, useEffect, useLayoutEffect, useRef } from "../view.js";
import { Answers, Question } from "./turn.js";
import { t } from "../words.js";

const NEAR_PX = 120;

export function Conversation({ chat, state }) {
  const end = useRef(null);
  const atEnd = useRef(true);
  const path = pathTo(chat);
  useFollow({ chat, end, atEnd, path });
  const pictures = [];
  return html`<div class="conversation" role="log" aria-live="off" aria-label=${t("conversation")}>
    ${path.map((node) => {
      if (node.role === "user") {
        pictures.push(...picturesOf(node));
        return html`<${Question} key=${node.id} node=${node} chat=${chat} running=${Boolean(state.running[path.at(-1).id])} />`;
      }
      return html`<${Answers} key=${node.id} node=${node} chat=${chat} pictures=${[...pictures]} />`;
    })}
    <div ref=${end}></div>
  </div>`;
}

function useFollow({ chat, end, atEnd, path }) {
  const questions = path.filter((node) => node.role === "user").length;
  useEffect(() => {
    const room = end.current.closest(".scroller");
    let before = room.scrollTop;
    // Only a reader lets go of the end, by scrolling up; new text that arrives with the same frame does not.
    const look = () => {
      const near = room.scrollHeight - room.scrollTop - room.clientHeight < NEAR_PX;
      if (near) atEnd.current = true;
      else if (room.scrollTop < before - 2) atEnd.current = false;
      before = room.scrollTop;
    };
    room.addEventListener("scroll", look, { passive: true });
    const grown = new ResizeObserver(() => atEnd.current && (room.scrollTop = room.scrollHeight));
    grown.observe(end.current.parentElement);
    return () => (room.removeEventListener("scroll", look), grown.disconnect());
  }, []);
  useLayoutEffect(() => {
    atEnd.current = true;
    end.current.scrollIntoView({ block: "end" });
  }, [chat.id, questions]);
}
