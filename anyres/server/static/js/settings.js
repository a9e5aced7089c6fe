// What the user chose, with its defaults.

export const HERE = { id: "here", name: "", url: "", key: "" };

export const DEFAULTS = {
  language: "auto",
  theme: "auto",
  system: "",
  budget: 1280, // visual tokens a picture may cost
  sampling: {
    temperature: null, top_p: null, top_k: null, repetition_penalty: null, seed: null, max_tokens: null, stop: "",
  },
  schema: { on: false, text: "" },
  endpoints: [HERE],
  lanes: [{ endpoint: "here", model: "" }],
  live: { budget: 512 },
};

/** Saved settings over the defaults: fields of an older version are completed. */
export function completed(saved = {}) {
  const whole = { ...DEFAULTS, ...saved };
  whole.sampling = { ...DEFAULTS.sampling, ...saved.sampling };
  whole.schema = { ...DEFAULTS.schema, ...saved.schema };
  whole.live = { ...DEFAULTS.live, ...saved.live };
  return whole;
}

export const endpointOf = (settings, id) => settings.endpoints.find((one) => one.id === id) ?? HERE;

export const themeOf = (settings) =>
  settings.theme === "auto" ? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light") : settings.theme;

/** The request's fields for how the answer is drawn. */
export function samplingFields({ sampling }) {
  const { max_tokens, stop, ...rest } = sampling;
  const fields = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  if (max_tokens !== null) fields.max_completion_tokens = max_tokens;
  const stops = stop.split("\n").filter(Boolean).slice(0, 4);
  if (stops.length) fields.stop = stops;
  return fields;
}
