// Small values that the host keeps: instances come and go, and any of them may be asked for anything.

import { currentHost } from './host.js';
import { decode, encode } from './text.js';

export function get(lifetime, key) {
  const kept = currentHost().memoGet(lifetime, key);
  return kept === undefined ? undefined : JSON.parse(decode(kept));
}

export function put(lifetime, key, value) {
  return JSON.parse(decode(currentHost().memoPut(lifetime, key, encode(JSON.stringify(value)))));
}
