// A mock host for an adapter's own unit tests: it answers registered requests, keeps files and memos in memory, and records requests and
// messages. It has no limits: only a run shows what the sandbox denies.

import { HostError, useHost } from './host.js';
import { LoadRequest } from './page.js';
import { Target } from './target.js';
import { decode, encode, lines } from './text.js';
import { WriteRequest } from './write.js';

let mock;

/** Drops everything that was registered and recorded. */
export function reset() {
  mock = { answers: new Map(), handler: undefined, breaks: [], requests: [], messages: [], files: new Map(), memos: new Map() };
}
reset();

const bytesOf = (body) => (body instanceof Uint8Array ? body : encode(typeof body === 'string' ? body : JSON.stringify(body)));

/** Registers the answer to a request. */
export function respond(method, url, status, body = '', headers = {}) {
  const key = `${method} ${url}`;
  mock.answers.set(key, [...(mock.answers.get(key) ?? []), { status, body: bytesOf(body), headers }]);
}

/** Registers a function for requests without an answer of their own. */
export function respondWith(handler) {
  mock.handler = handler;
}

/** Makes the next request for which `breaks` returns true fail in transport, once. */
export function failRequest(breaks) {
  mock.breaks.push(breaks);
}

/** Begins another run: drops the values of the run, keeps the lasting ones. */
export function nextRun() {
  for (const key of [...mock.memos.keys()]) if (key.startsWith('run ')) mock.memos.delete(key);
}

/** Returns the requests that were sent. */
export const requests = () => mock.requests;
/** Returns the messages that were logged. */
export const messages = () => mock.messages;
/** Puts a file into the folder. */
export const putFile = (path, data) => void mock.files.set(path, bytesOf(data));
/** Returns the bytes of a file of the folder. */
export const file = (path) => mock.files.get(path);

function at(value, pointer) {
  for (const token of pointer.split('/').slice(1).map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'))) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, token)) return undefined;
    value = value[token];
  }
  return value;
}

function responseOf({ status, body, headers = {} }) {
  const whole = () => {
    try {
      return JSON.parse(decode(body));
    } catch {
      return undefined;
    }
  };
  return {
    status: () => status,
    header: (name) => Object.entries(headers).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1],
    json: (pointers) => {
      const value = whole();
      return pointers.map((pointer) => JSON.stringify(at(value, pointer)));
    },
    count: (pointer) => {
      const found = at(whole(), pointer);
      return Array.isArray(found) ? found.length : undefined;
    },
    body: () => body,
    release: () => {},
  };
}

function inFolder(path) {
  if (path.startsWith('/') || path.split('/').includes('..')) throw new HostError('denied', `\`${path}\` leads out of the folder`);
  return path;
}

function contents(path) {
  const data = mock.files.get(inFolder(path));
  if (data === undefined) throw new HostError('not-found');
  return data;
}

const fileResponse = (body) => responseOf({ status: 200, body });

useHost({
  send({ method, url, headers, body, timeoutMs, idempotent, unprocessed }) {
    const request = {
      method,
      url,
      headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
      body,
      timeoutMs,
      onlyReads: idempotent,
      unprocessedIf: unprocessed && [unprocessed.name, unprocessed.value],
      json: () => JSON.parse(decode(body)),
    };
    mock.requests.push(request);
    const broken = mock.breaks.findIndex((breaks) => breaks(request));
    if (broken >= 0) {
      mock.breaks.splice(broken, 1);
      throw new HostError('transport', `${method} ${url}: the connection broke, as the test asked`);
    }
    const registered = mock.answers.get(`${method} ${url}`);
    if (registered) return responseOf(registered.length > 1 ? registered.shift() : registered[0]);
    const made = mock.handler?.(request);
    if (!made) throw new HostError('transport', `no answer is registered for ${method} ${url}`);
    return responseOf({ ...made, body: bytesOf(made.body ?? '') });
  },
  list: () => [...mock.files.keys()].filter((path) => !path.includes('/')).sort(),
  read: (path) => fileResponse(contents(path)),
  readLines(path, offset, bytesMax) {
    const data = contents(path);
    const start = Math.min(offset, data.length);
    const limit = Math.min(start + bytesMax, data.length);
    let end = limit;
    if (limit < data.length) {
      // The last whole line within the limit, else the first one after it.
      end = data.subarray(0, limit).lastIndexOf(10) + 1;
      if (end <= start) end = data.indexOf(10, limit) + 1 || data.length;
    }
    return [fileResponse(data.slice(start, end)), end < data.length ? end : undefined];
  },
  append(path, bytes) {
    const before = mock.files.get(inFolder(path)) ?? new Uint8Array();
    mock.files.set(path, Uint8Array.from([...before, ...bytes]));
  },
  replace(from, to) {
    const data = contents(from);
    mock.files.delete(from);
    mock.files.set(inFolder(to), data);
  },
  remove: (path) => void mock.files.delete(inFolder(path)),
  log: (level, message) => void mock.messages.push([level, message]),
  memoGet: (lifetime, key) => mock.memos.get(`${lifetime} ${key}`),
  memoPut(lifetime, key, value) {
    const name = `${lifetime} ${key}`;
    if (lifetime !== 'run' || !mock.memos.has(name)) mock.memos.set(name, value);
    return mock.memos.get(name);
  },
});

/** Makes a request for the first page. */
export const firstPage = (resource, fields = [], pageSize = 1000) => new LoadRequest({ resource, fields, pageSize });

/** Makes a request for the first page of a target: its resource, and the paths of its fields. */
export function firstPageOf(shape) {
  const target = new Target(shape);
  return new LoadRequest({ resource: target.resourceOrKind, fields: target.fields.map(({ readPath }) => readPath), targets: [target] });
}

/** Makes a write of these rows. */
export const writeRequest = (target, operation, ...rows) =>
  new WriteRequest({ target, operation, rows: encode(rows.map((row) => `${JSON.stringify(row)}\n`).join('')), count: rows.length });

/** Reads all pages. Returns their records as the host sees them. */
export function loadAll(adapter, request) {
  const records = [];
  for (;;) {
    const page = adapter.load(request);
    records.push(...pageRecords(page));
    if (page.next === undefined || page.next === null) return records;
    // The host hands it over as JSON.
    request = new LoadRequest({ ...request, cursor: JSON.parse(JSON.stringify(page.next)) });
  }
}

/** Returns the records of a page. */
export function pageRecords({ payload }) {
  const records = (bytes) => lines(decode(bytes)).map((line) => JSON.parse(line));
  if (payload.tag === 'json-lines') return records(payload.bytes);
  if (payload.layout === 'json-lines') return records(payload.response.bytes());
  const value = payload.response.value(payload.pointer);
  if (value === null || typeof value !== 'object') throw new Error(`neither a list nor an object at ${payload.pointer}: ${JSON.stringify(value)}`);
  return Array.isArray(value) ? value : Object.values(value);
}
