// Requests, sent by the host.

import { AdapterError, detail } from './errors.js';
import { HostError, currentHost } from './host.js';
import { encode } from './text.js';

const READS = ['GET', 'HEAD', 'PUT', 'DELETE'];

// The responses of the call under way. QuickJS lets go of a handle only when the call ends, so what is left then is released by endCall,
// and an adapter that asks for many releases them itself.
let held = new Set();

/** Releases what the call that ended has left. */
export function endCall() {
  const left = held;
  held = new Set();
  for (const response of left) response.release();
}

export class Response {
  #raw;
  #status;

  constructor(raw) {
    this.#raw = raw;
    this.#status = raw.status();
    held.add(this);
  }

  #held() {
    if (!this.#raw) throw AdapterError.internal('a response was used after it was released or handed back');
    return this.#raw;
  }

  /** Takes the handle away, to hand it back to the host. */
  take() {
    const raw = this.#held();
    this.#raw = undefined;
    held.delete(this);
    return raw;
  }

  get status() {
    return this.#status;
  }

  get isSuccess() {
    return this.#status >= 200 && this.#status < 300;
  }

  header(name) {
    return this.#held().header(name);
  }

  json(pointers) {
    return this.#held().json(pointers);
  }

  value(pointer) {
    const [text] = this.json([pointer]);
    return text === undefined ? undefined : JSON.parse(text);
  }

  count(pointer) {
    return this.#held().count(pointer);
  }

  bytes() {
    return this.#held().body();
  }

  parse() {
    // As text, not as bytes: QuickJS has no decoder of its own, and ours is slower than the host's.
    const [text] = this.json(['']);
    if (text === undefined) throw AdapterError.remote('the answer cannot be read: it is no JSON');
    return JSON.parse(text);
  }

  release() {
    if (this.#raw) this.take().release();
  }

  success(what) {
    if (this.isSuccess) return this;
    throw AdapterError.fromResponse(what, this);
  }

  detail() {
    return detail(this);
  }
}

/** A path with a query. */
export function withQuery(path, query = {}) {
  const pairs = Array.isArray(query) ? query : Object.entries(query);
  const texts = pairs.map(([name, value]) => `${percent(name)}=${percent(value)}`);
  if (texts.length === 0) return path;
  return `${path}${path.includes('?') ? '&' : '?'}${texts.join('&')}`;
}

/** Percent-encodes all but the unreserved characters of RFC 3986 and the comma, which lists are written with. */
function percent(value) {
  const encoded = encodeURIComponent(String(value));
  return encoded.replace(/%2C|[!'()*]/g, (found) => (found === '%2C' ? ',' : `%${found.charCodeAt(0).toString(16).toUpperCase()}`));
}

export function request(method, url, options = {}) {
  const { query, json, headers = {}, timeoutMs, onlyReads = READS.includes(method), unprocessedIf } = options;
  let { body } = options;
  const all = { accept: 'application/json' };
  if (json !== undefined) {
    body = encode(JSON.stringify(json));
    all['content-type'] = 'application/json';
  }
  for (const [name, value] of Object.entries(headers)) all[name.toLowerCase()] = value;
  const full = withQuery(url, query);
  try {
    return new Response(
      currentHost().send({
        method,
        url: full,
        headers: Object.entries(all).map(([name, value]) => ({ name, value })),
        body,
        timeoutMs,
        idempotent: onlyReads,
        unprocessed: unprocessedIf && { name: unprocessedIf[0], value: unprocessedIf[1] },
      }),
    );
  } catch (error) {
    throw error instanceof HostError ? failed(`${method} ${full}`, error) : error;
  }
}

function failed(what, { tag, val }) {
  switch (tag) {
    case 'denied':
      return AdapterError.config(val);
    case 'login-failed':
      return AdapterError.auth(val);
    case 'transport':
    case 'timeout':
      return AdapterError.transport(val);
    case 'too-large':
      return AdapterError.remote(`the answer to ${what} is larger than the limit of ${val} bytes`);
    case 'too-many-responses':
      return AdapterError.internal(`the adapter holds ${val} responses already, which is the limit: release what is done with`);
    default:
      return AdapterError.internal(`${what} is no request: ${val}`);
  }
}

export const get = (url, options) => request('GET', url, options);
export const post = (url, options) => request('POST', url, options);
export const put = (url, options) => request('PUT', url, options);
export const patch = (url, options) => request('PATCH', url, options);
// `delete` is a keyword.
export const del = (url, options) => request('DELETE', url, options);
