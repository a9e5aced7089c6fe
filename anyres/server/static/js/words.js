// The page's words in the language that was chosen. `{name}` in a text is filled in.
import { EN } from "./words-en.js";
import { ZH } from "./words-zh.js";

export const LANGUAGES = { en: EN, zh: ZH };

let words = EN;

export const languageOf = (choice) =>
  choice in LANGUAGES ? choice : navigator.languages.some((one) => one.startsWith("zh")) && !navigator.language.startsWith("en") ? "zh" : "en";

export const setLanguage = (choice) => (words = LANGUAGES[languageOf(choice)]);

/** The text under a key; a plural form under `key.one` where `count` is 1. */
export function t(key, values = {}) {
  const text = (Number(values.count) === 1 ? words[`${key}.one`] : undefined) ?? words[key] ?? EN[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
