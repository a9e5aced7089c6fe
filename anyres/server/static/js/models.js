// Which models the endpoints have, and what each can do.
import { listModels } from "./api.js";
import { changeSettings, store } from "./state.js";
import { endpointOf } from "./settings.js";

export async function refreshModels(endpoint) {
  const put = (entry) => store.set(({ models }) => ({ models: { ...models, [endpoint.id]: entry } }));
  put({ list: store.get().models[endpoint.id]?.list ?? [], loading: true });
  try {
    const list = await listModels(endpoint, AbortSignal.timeout(15_000));
    put({ list });
    chooseFirst(endpoint.id, list);
  } catch (error) {
    put({ list: [], error: error.record ?? { code: "unreachable", message: "" } });
  }
}

/** A lane without a model, or with one that is gone, takes the endpoint's first. */
function chooseFirst(endpointId, list) {
  const { settings } = store.get();
  const known = (lane) => list.some((one) => one.id === lane.model);
  const lanes = settings.lanes.map((lane) =>
    lane.endpoint === endpointId && !known(lane) && list.length ? { ...lane, model: list[0].id } : lane);
  if (lanes.some((lane, i) => lane !== settings.lanes[i])) changeSettings({ lanes });
}

export const refreshAll = () => Promise.all(store.get().settings.endpoints.map(refreshModels));

export const modelOf = (state, lane) => state.models[lane.endpoint]?.list.find((one) => one.id === lane.model);

/** Whether the endpoint knows this project's knobs: pixel limits beside a part, counting, previews. */
export const hasKnobs = (state, lane) => modelOf(state, lane)?.owned_by === "anyres";

/** The checkpoint's own pixel limits, where the server tells them. */
export const limitsOf = (state, lane = state.settings.lanes[0]) => modelOf(state, lane)?.pixel_limits ?? {};

export const laneEndpoint = (state, lane) => endpointOf(state.settings, lane.endpoint);
