// Requests, sent by the host.

import { AdapterError, detail } from './errors.js';
import { HostError, currentHost } from './host.js';
import { encode } from './text.js';

const READS = ['GET', 'HEAD', 'PUT', 'DELETE'];

// The types that a value of JSON may have: the words of a message, and the test.
const TYPES = {
  boolean: ['a boolean', (value) => typeof value === 'boolean'],
  integer: ['an integer', Number.isInteger],
  number: ['a number', (value) => typeof value === 'number'],
  text: ['a text', (value) => typeof value === 'string'],
  list: ['a list', Array.isArray],
  object: ['an object', (value) => typeof value === 'object' && value !== null && !Array.isArray(value)],
};

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

// The responses of the current call. QuickJS drops a handle only when the call ends: endCall releases the ones that are left then, and an
// adapter that asks for many releases them itself.
let held = new Set();

/** Releases the responses that the call has left. */
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

  get(pointer, type) {
    const [text] = this.json([pointer]);
    if (text === undefined) throw this.#unreadable(`the answer has no JSON value${pointer ? ` at \`${pointer}\`` : ''}`);
    const [words, fits] = TYPES[type];
    const value = JSON.parse(text);
    if (!fits(value)) throw this.#unreadable(`the value at \`${pointer}\` of the answer is not ${words}`);
    return value;
  }

  #unreadable(message) {
    return AdapterError.remote(message).withStatus(this.#status);
  }

  date() {
    // RFC 9110. Not Date.parse: what it takes depends on the engine.
    const parts = /^\w+, (\d+) (\w+) (\d+) (\d+):(\d+):(\d+) GMT$/.exec(this.header('date') ?? '');
    const month = MONTHS.indexOf(parts?.[2]);
    if (month < 0) return undefined;
    const [day, year, hour, minute, second] = [1, 3, 4, 5, 6].map((at) => Number(parts[at]));
    if (hour > 23 || minute > 59 || second > 60) return undefined;
    const date = new Date(Date.UTC(year, month, day, hour, minute));
    // A day that the month does not have becomes one of the next month; so does a leap second, which is meant to.
    return date.getUTCDate() === day ? new Date(date.getTime() + second * 1000) : undefined;
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
    if (text === undefined) throw this.#unreadable('the answer cannot be read: it is not JSON');
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

/** Returns a path with a query. */
export function withQuery(path, query = {}) {
  const pairs = Array.isArray(query) ? query : Object.entries(query);
  const texts = pairs.map(([name, value]) => `${percent(name)}=${percent(value)}`);
  if (texts.length === 0) return path;
  return `${path}${path.includes('?') ? '&' : '?'}${texts.join('&')}`;
}

/** Percent-encodes all characters but the unreserved ones of RFC 3986 and the comma, which separates lists. */
function percent(value) {
  const encoded = encodeURIComponent(String(value));
  return encoded.replace(/%2C|[!'()*]/g, (found) => (found === '%2C' ? ',' : `%${found.charCodeAt(0).toString(16).toUpperCase()}`));
}

/** Encodes a text, or an id, as one segment of a path. */
export const pathSegment = (text) => percent(text).replaceAll(',', '%2C');

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
      return AdapterError.internal(`the adapter already holds ${val} responses, which is the limit: release some`);
    default:
      return AdapterError.internal(`${what} is not a valid request: ${val}`);
  }
}

export const get = (url, options) => request('GET', url, options);
export const post = (url, options) => request('POST', url, options);
export const put = (url, options) => request('PUT', url, options);
export const patch = (url, options) => request('PATCH', url, options);
// `delete` is a keyword.
export const del = (url, options) => request('DELETE', url, options);
