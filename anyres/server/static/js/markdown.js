// An answer's text as HTML in which nothing acts: no tag, link or picture of the model's reaches the page.
import DOMPurify from "../vendor/dompurify.js";
import { Marked } from "../vendor/marked.js";
import { keyOf, placesIn } from "./grounding.js";

const ALLOWED = {
  ALLOWED_TAGS: [
    "p", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5",
    "h6", "table", "thead", "tbody", "tr", "th", "td", "span", "button", "input",
  ],
  ALLOWED_ATTR: ["start", "align", "type", "checked", "disabled", "class", "data-place"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_TRUSTED_TYPE: true,
};

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
export const escapeHtml = (text) => text.replace(/[&<>"']/g, (char) => ESCAPES[char]);

/** Control characters as signs that can be seen: an escape that would colour a terminal, letters that turn a line round. */
export function visible(text) {
  return text
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f]/g, (char) => String.fromCodePoint(0x2400 + char.codePointAt(0)))
    .replace(/\x7f/g, "\u2421")
    .replace(/[\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (char) => `\u27e8U+${hex(char)}\u27e9`);
}

const hex = (char) => char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");

const chip = (place) => {
  const name = place.label || `${place.x1}, ${place.y1}`;
  return `<button type="button" class="chip" data-place="${escapeHtml(keyOf(place))}">${escapeHtml(name)}</button>`;
};

const LONGEST_PLACE = 600; // characters, name and numbers: keeps hostile text from being searched again and again

/** Places as a token of the language, so that no star or underscore in a name breaks them. */
const placeToken = {
  name: "place",
  level: "inline",
  start: (source) => /<\|(?:object_ref|box|quad)_start\|>|\(\s*\d/.exec(source)?.index,
  tokenizer(source) {
    const near = source.slice(0, LONGEST_PLACE);
    const first = placesIn(near)[0];
    if (!first?.place) return undefined;
    const raw = near.slice(0, lengthOfFirst(near));
    return { type: "place", raw, place: first.place };
  },
  renderer: ({ place }) => chip(place),
};

function lengthOfFirst(source) {
  const marked = /^(?:<\|object_ref_start\|>(?:(?!<\|)[^])*<\|object_ref_end\|>\s*)?<\|(box|quad)_start\|>[^<]*<\|\1_end\|>/;
  const bare = /^\([^()]*\)\s*,\s*\([^()]*\)/;
  return (marked.exec(source) ?? bare.exec(source))[0].length;
}

const address = (href) => ` <code>${escapeHtml(href)}</code>`;

const marked = new Marked({
  gfm: true,
  breaks: true,
  extensions: [placeToken],
  renderer: {
    html: ({ text }) => escapeHtml(text),
    // Addresses are shown, not followed: a click on what a model wrote could carry the conversation away.
    link({ href, text, tokens }) {
      return text === href ? `<code>${escapeHtml(href)}</code>` : this.parser.parseInline(tokens) + address(href);
    },
    image: ({ href, text }) => `<span class="inert">${escapeHtml(text)}${address(href)}</span>`,
    code: ({ text }) => `<pre><code>${escapeHtml(text)}</code></pre>`,
  },
});

/** The blocks of a text (paragraphs, lists, tables): while it grows only the last one changes. */
export const blocksOf = (text) => marked.lexer(visible(text)).filter((token) => token.type !== "space");

/** HTML of a block, as the browser's TrustedHTML where it has that. */
export const htmlOf = (block) => DOMPurify.sanitize(marked.parser([block]), ALLOWED);
