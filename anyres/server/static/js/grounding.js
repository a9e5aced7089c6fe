// Places in an answer, as Qwen2-VL writes them: thousandths of the picture's width and height.

const NUMBER = String.raw`\d+(?:\.\d*)?`;
const PAIR = String.raw`\(\s*(${NUMBER})\s*,\s*(${NUMBER})\s*\)`;
const PLACE = String.raw`${PAIR}(?:\s*,\s*${PAIR})?(?:\s*,\s*${PAIR}\s*,\s*${PAIR})?`;
const NAME = String.raw`<\|object_ref_start\|>((?:(?!<\|)[^])*)<\|object_ref_end\|>`;
const MARKED = new RegExp(String.raw`(?:${NAME}\s*)?<\|(box|quad)_start\|>\s*${PLACE}\s*<\|\2_end\|>|${NAME}`, "g");
const BARE = new RegExp(String.raw`${NAME}|${PAIR}\s*,\s*${PAIR}`, "g");
const ANY_MARK = /<\|(?:box|quad)_(?:start|end)\|>/;
const BEGUN = String.raw`<(?:\|[a-z_]*\|?)?`;
const NAMED = String.raw`<\|object_ref_start\|>[^<]*<\|object_ref_end\|>\s*`;
// At the end of a text: a place not closed yet, a name not closed or without its place yet, a mark not whole yet.
const PENDING = new RegExp(
  String.raw`(?:${NAMED})?<\|(?:box|quad)_start\|>[^<]*(?:${BEGUN})?$|${NAMED}(?:${BEGUN})?$` +
  String.raw`|<\|object_ref_start\|>[^<]*(?:${BEGUN})?$|${BEGUN}$`,
);

/** Pieces of an answer in order: {text} or {place: {label, x1, y1, x2, y2, point}}; text is whatever is no place. */
export function placesIn(text) {
  const pieces = [];
  const marked = ANY_MARK.test(text);
  const pattern = marked ? MARKED : BARE;
  let [at, label] = [0, ""];
  for (const match of text.matchAll(pattern)) {
    const [name, numbers] = marked
      ? [match[1] ?? match[11], match.slice(3, 11)]
      : [match[1], match.slice(2, 6)];
    const place = placeOf(numbers.filter((one) => one !== undefined).map(Number));
    if (match.index > at) pieces.push({ text: text.slice(at, match.index) });
    at = match.index + match[0].length;
    if (name !== undefined && name !== "") label = name.trim();
    if (place) pieces.push({ place: { label, ...place } });
    else if (numbers.every((one) => one === undefined)) pieces.push({ text: name });
    else pieces.push({ text: match[0] });
  }
  if (at < text.length) pieces.push({ text: text.slice(at) });
  return pieces;
}

function placeOf(values) {
  if (values.length < 2 || values.some((value) => value > 1000)) return null;
  const xs = values.filter((_, i) => i % 2 === 0);
  const ys = values.filter((_, i) => i % 2 === 1);
  const edges = { x1: Math.min(...xs), y1: Math.min(...ys), x2: Math.max(...xs), y2: Math.max(...ys) };
  return { ...edges, point: values.length === 2 };
}

/** The answer so far without a mark that has only begun to arrive. */
export const withoutUnfinished = (text) => text.replace(PENDING, "");

export const keyOf = ({ label, x1, y1, x2, y2 }) => `${x1},${y1},${x2},${y2},${label}`;

/** Places of a whole answer, each once. */
export function uniquePlaces(text) {
  const places = placesIn(text).flatMap((piece) => (piece.place ? [piece.place] : []));
  return [...new Map(places.map((place) => [keyOf(place), place])).values()];
}
