// The slider of how many visual tokens a picture may cost, and what the question costs in all.
import { limitsOf } from "../models.js";
import { changeSettings } from "../state.js";
import { BUDGETS, FACTOR } from "../sizes.js";
import { classes, html } from "../view.js";
import { draftTokens, useServerCost } from "./cost.js";
import { grouped } from "../numbers.js";
import { t } from "../words.js";

export function Budget({ state }) {
  const { draft, settings } = state;
  const limits = limitsOf(state);
  const told = useServerCost(state);
  const pictures = draft.media.some((part) => part.kind === "image" || part.kind === "document");
  if (!draft.media.length) return null;
  const here = draftTokens(draft, settings, limits);
  return html`<div class="budget">
    ${pictures && html`<${Slider} settings=${settings} limits=${limits} />`}
    <p class=${classes("cost", told?.most && told.tokens > told.most && "over")} role="status">
      ${told ? t("costTold", { count: grouped(told.tokens), most: told.most ? grouped(told.most) : "?" }) : t("costHere", { count: grouped(here) })}
    </p>
  </div>`;
}

function Slider({ settings, limits }) {
  const most = limits.max_pixels ? Math.ceil(limits.max_pixels / FACTOR ** 2) : Infinity;
  const steps = BUDGETS.filter((step, i) => i === 0 || BUDGETS[i - 1] < most);
  const at = Math.min(steps.findIndex((step) => step >= settings.budget) >>> 0, steps.length - 1);
  const text = t("budgetUpTo", { count: grouped(Math.min(steps[at], most)) });
  return html`<label class="slider"><span>${t("budget")}</span>
    <input type="range" min="0" max=${steps.length - 1} step="1" value=${at} aria-valuetext=${text}
      onInput=${(event) => changeSettings({ budget: steps[event.target.value] })} />
    <output>${text}</output></label>`;
}
