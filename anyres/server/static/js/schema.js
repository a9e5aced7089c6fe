// Whether a value is what a JSON schema asks for: the keywords the server holds answers to. Pure functions.

const TYPES = {
  object: (value) => value !== null && typeof value === "object" && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  integer: Number.isInteger,
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
};

const same = (one, other) => canonical(one) === canonical(other);

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (!TYPES.object(value)) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`;
}

/** A list of {path, text}: what is wrong, and where; empty where all is well. */
export function problemsOf(value, schema, root = schema, path = "") {
  if (schema === true || schema === undefined) return [];
  if (schema === false) return [{ path, text: "nothing is allowed here" }];
  const found = [];
  const say = (text, at = path) => found.push({ path: at, text });
  const into = (part, rule, at) => found.push(...problemsOf(part, rule, root, at));
  const fits = (rule) => problemsOf(value, rule, root, path).length === 0;

  if (schema.$ref !== undefined) into(value, resolve(schema.$ref, root), path);
  const types = [schema.type ?? []].flat();
  if (types.length && !types.some((type) => TYPES[type]?.(value))) say(`is not ${types.join(" or ")}`);
  if (schema.enum && !schema.enum.some((one) => same(one, value))) say(`is none of ${JSON.stringify(schema.enum)}`);
  if ("const" in schema && !same(schema.const, value)) say(`is not ${JSON.stringify(schema.const)}`);
  for (const rule of schema.allOf ?? []) into(value, rule, path);
  if (schema.anyOf && !schema.anyOf.some(fits)) say("fits none of anyOf");
  if (schema.oneOf && schema.oneOf.filter(fits).length !== 1) say("does not fit exactly one of oneOf");
  if (schema.not !== undefined && fits(schema.not)) say("is what it must not be");
  if (TYPES.number(value)) numberProblems(value, schema, say);
  if (TYPES.string(value)) stringProblems(value, schema, say);
  if (TYPES.array(value)) arrayProblems(value, schema, say, into, path);
  if (TYPES.object(value)) objectProblems(value, schema, say, into, path);
  return found;
}

function resolve(ref, root) {
  const steps = ref.replace(/^#\/?/, "").split("/").filter(Boolean);
  return steps.reduce((at, step) => at?.[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")], root);
}

function numberProblems(value, schema, say) {
  if (value < schema.minimum) say(`is below ${schema.minimum}`);
  if (value > schema.maximum) say(`is above ${schema.maximum}`);
  if (value <= schema.exclusiveMinimum) say(`is not above ${schema.exclusiveMinimum}`);
  if (value >= schema.exclusiveMaximum) say(`is not below ${schema.exclusiveMaximum}`);
  if (schema.multipleOf && !Number.isInteger(value / schema.multipleOf)) say(`is no multiple of ${schema.multipleOf}`);
}

function stringProblems(value, schema, say) {
  const length = [...value].length;
  if (length < schema.minLength) say(`is shorter than ${schema.minLength}`);
  if (length > schema.maxLength) say(`is longer than ${schema.maxLength}`);
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, "u").test(value)) say(`does not match ${schema.pattern}`);
}

function arrayProblems(value, schema, say, into, path) {
  if (value.length < schema.minItems) say(`has fewer than ${schema.minItems} items`);
  if (value.length > schema.maxItems) say(`has more than ${schema.maxItems} items`);
  if (schema.uniqueItems && new Set(value.map(canonical)).size < value.length) say("has equal items");
  const first = schema.prefixItems ?? [];
  value.forEach((item, i) => into(item, i < first.length ? first[i] : schema.items, `${path}/${i}`));
}

function objectProblems(value, schema, say, into, path) {
  const known = schema.properties ?? {};
  const patterns = Object.entries(schema.patternProperties ?? {}).map(([text, rule]) => [new RegExp(text, "u"), rule]);
  const keys = Object.keys(value);
  for (const name of schema.required ?? []) if (!Object.hasOwn(value, name)) say(`${name} is missing`);
  if (keys.length < schema.minProperties) say(`has fewer than ${schema.minProperties} fields`);
  if (keys.length > schema.maxProperties) say(`has more than ${schema.maxProperties} fields`);
  for (const name of keys) {
    const rules = patterns.filter(([pattern]) => pattern.test(name)).map(([, rule]) => rule);
    if (Object.hasOwn(known, name)) rules.push(known[name]);
    else if (!rules.length) rules.push(schema.additionalProperties);
    for (const rule of rules) into(value[name], rule, `${path}/${name}`);
  }
}

/** A schema out of its text, or out of the short form `name, total: number, paid: boolean`. */
export function readSchema(text) {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) return JSON.parse(trimmed);
  const fields = trimmed.split(/[,\n]/).map((one) => one.trim()).filter(Boolean);
  const pairs = fields.map((one) => {
    const [, name, type = "string"] = /^([\w-]+)(?:\s*:\s*(\w+))?$/.exec(one) ?? [];
    if (!name || !TYPES[type]) throw new SyntaxError(one);
    return [name, { type }];
  });
  if (!pairs.length) throw new SyntaxError("empty");
  return {
    type: "object",
    properties: Object.fromEntries(pairs),
    required: pairs.map(([name]) => name),
    additionalProperties: false,
  };
}
