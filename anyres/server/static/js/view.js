// What components are written with: one place that knows the vendored libraries.
import { Fragment, createContext, h, render } from "../vendor/preact.js";
import {
  useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from "../vendor/preact-hooks.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(h);
export {
  Fragment, createContext, render, useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState,
};

/** One object of state with listeners; `set` takes new fields, or a function from the state to them. */
export function createStore(initial) {
  let state = initial;
  const listeners = new Set();
  return {
    get: () => state,
    set(change) {
      state = { ...state, ...(typeof change === "function" ? change(state) : change) };
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The state of a store; the component is drawn again when it changes. */
export function useStore(store) {
  const [state, setState] = useState(store.get());
  useLayoutEffect(() => {
    const update = () => setState(store.get());
    update();
    return store.subscribe(update);
  }, [store]);
  return state;
}

export const classes = (...names) => names.filter(Boolean).join(" ");
