// Small values that the host keeps: instances are created and dropped, and any of them may serve any call.

import { currentHost } from './host.js';
import { decode, encode } from './text.js';

export function get(lifetime, key) {
  const kept = currentHost().memoGet(lifetime, key);
  return kept === undefined ? undefined : JSON.parse(decode(kept));
}

export function put(lifetime, key, value) {
  return JSON.parse(decode(currentHost().memoPut(lifetime, key, encode(JSON.stringify(value)))));
}

export function once(key, make) {
  const kept = currentHost().memoGet('run', key);
  return kept === undefined ? put('run', key, make()) : JSON.parse(decode(kept));
}
