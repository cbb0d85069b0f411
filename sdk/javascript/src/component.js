// Between the interfaces of the contract and this package; only a component imports it.
//
// What is thrown out of an export and is not the contract's error ends the instance, and its text is seen by nobody but the host's log. So each
// export turns whatever an adapter throws into the contract's failure.

import * as witFiles from 'infrahub-sync:adapter/files@0.1.0';
import * as witHttp from 'infrahub-sync:adapter/http@0.1.0';
import * as witLog from 'infrahub-sync:adapter/log@0.1.0';
import * as witMemo from 'infrahub-sync:adapter/memo@0.1.0';

import { AdapterError } from './errors.js';
import { HostError, useHost } from './host.js';
import { endCall } from './http.js';
import { LoadRequest } from './page.js';
import { decode, encode } from './text.js';
import { WriteRequest, asFailure } from './write.js';

/** Calls the host; what it refuses arrives as an Error whose `payload` is the contract's variant. */
function ask(call) {
  try {
    return call();
  } catch (error) {
    const refused = error?.payload;
    throw refused?.tag === undefined ? error : new HostError(refused.tag, refused.val);
  }
}

const bytesOf = (list) => (list instanceof Uint8Array ? list : Uint8Array.from(list));
const absent = (value) => value ?? undefined;

/** A response of the real host. */
const responseOf = (handle) => ({
  handle,
  status: () => handle.status(),
  header: (name) => absent(handle.header(name)),
  json: (pointers) => handle.json(pointers).map(absent),
  count: (pointer) => absent(handle.count(pointer)),
  body: () => bytesOf(handle.body()),
  release: () => handle.release(),
});

useHost({
  send: (request) => responseOf(ask(() => witHttp.send(request))),
  list: () => ask(() => witFiles.list()),
  read: (path) => responseOf(ask(() => witFiles.read(path))),
  readLines: (path, offset, bytesMax) => {
    const [handle, next] = ask(() => witFiles.readLines(path, offset, bytesMax));
    return [responseOf(handle), next === undefined || next === null ? undefined : Number(next)];
  },
  append: (path, bytes) => ask(() => witFiles.append(path, bytes)),
  replace: (from, to) => ask(() => witFiles.replace(from, to)),
  remove: (path) => ask(() => witFiles.remove(path)),
  log: (level, message) => witLog.log(level, message),
  memoGet: (lifetime, key) => {
    const kept = absent(witMemo.get(lifetime, key));
    return kept === undefined ? undefined : bytesOf(kept);
  },
  memoPut: (lifetime, key, value) => bytesOf(witMemo.put(lifetime, key, value)),
});

const witError = ({ kind, message, httpStatus, retryAfterMs }) => ({ kind, message, httpStatus, retryAfterMs });

/** Runs a call of the host to its end. */
function answer(call) {
  try {
    return call();
  } catch (error) {
    throw witError(asFailure(error));
  } finally {
    endCall();
  }
}

/** The exports of the contract for an adapter's class. */
export function componentOf(adapterClass) {
  let configured;
  const adapter = () => {
    if (!configured) throw AdapterError.internal('the adapter was called before it was configured');
    return configured;
  };
  return {
    meta: {
      // There is no failure to answer here: what is thrown ends the instance, and the host shows its text.
      describe: () => witManifest(adapterClass.manifest()),
      configure: (settings) =>
        answer(() => {
          configured = adapterClass.configure(JSON.parse(settings));
        }),
    },
    schema: { kinds: (names) => answer(() => adapter().kinds(names).map(witKind)) },
    source: {
      load: ({ resource, fields, model, pageSize, cursor, since }) =>
        answer(() => {
          const after = cursor === undefined || cursor === null ? undefined : JSON.parse(decode(bytesOf(cursor)));
          return witPage(adapter().load(new LoadRequest({ resource, fields, model, pageSize, cursor: after, since: absent(since) })));
        }),
    },
    destination: {
      begin: (run) => answer(() => absent(adapter().begin(runOf(run)))),
      write: (request) =>
        answer(() =>
          adapter()
            .write(new WriteRequest({ ...request, resource: absent(request.resource), rows: bytesOf(request.rows) }))
            .map(witOutcome),
        ),
      commit: (kinds) =>
        answer(() => {
          adapter().commit(kinds);
        }),
      finish: (run, result) => answer(() => absent(adapter().finish(runOf(run), numbers(result)))),
    },
  };
}

const numbers = (record) => Object.fromEntries(Object.entries(record).map(([name, value]) => [name, Number(value)]));

const runOf = ({ id, sync, source, changes }) => ({
  id,
  sync,
  source,
  changes: changes.map(({ kind, ...rows }) => ({ kind, ...numbers(rows) })),
});

function witManifest({ name, version, description, settings = [], credentials = [], ...rest }) {
  return {
    name,
    version,
    description,
    settings: settings.map(witSetting),
    addressSetting: rest.addressSetting,
    folderSetting: rest.folderSetting,
    credentials: credentials.map(witCredential),
    source: rest.source,
    destination: rest.destination ?? false,
    schema: rest.schema ?? false,
    pageSize: rest.pageSize ?? 1000,
    writeBatchMax: rest.writeBatchMax ?? 1000,
    writeConcurrency: rest.writeConcurrency ?? 1,
    hasIds: rest.hasIds ?? false,
  };
}

function witSetting({ name, help, type = 'text', required = false, secret = false, environment = [], default: value }) {
  return { name, help, type, required, secret, environment, default: value === undefined ? undefined : String(value) };
}

function witCredential({ header, basic, query, login }) {
  if (header) {
    const templates = Array.isArray(header) ? header : [header];
    return { tag: 'header', val: templates.map(({ name, template, prefix = '' }) => ({ name, template, prefix })) };
  }
  if (basic) return { tag: 'basic', val: basic };
  if (query) return { tag: 'query', val: query };
  if (login) return { tag: 'login', val: witLogin(login) };
  throw AdapterError.internal('a credential is one of `header`, `basic`, `query` and `login`');
}

function witLogin({ steps, headers = {}, renewAfterS, expired = [401], refresh = [] }) {
  return { steps: steps.map(witLoginStep), headers: Object.entries(headers), renewAfterS, expired, refresh: refresh.map(witLoginStep) };
}

function witLoginStep({ method, path, headers = {}, json, form, values = {} }) {
  let body;
  if (json !== undefined) body = { tag: 'json', val: json };
  else if (form !== undefined) body = { tag: 'form', val: Object.entries(form) };
  const taken = Object.entries(values).map(([name, place]) => {
    const [[tag, val]] = Object.entries(place);
    return [name, { tag, val }];
  });
  return { method, path, headers: Object.entries(headers), body, values: taken };
}

function witKind({ name, identifiers = [], fields = [], standsFor = [], canCreate = true, canUpdate = true, canDelete = true }) {
  return { name, identifiers, fields: fields.map(witField), standsFor, canCreate, canUpdate, canDelete };
}

function witField({ name, type = 'any', optional = false, unique = false, readOnly = false, reference, choices = [], default: value }) {
  const text = value === undefined ? undefined : JSON.stringify(value);
  return { name, type, optional, unique, readOnly, reference, choices, default: text };
}

function witPage({ payload, next, watermark, deleted, total }) {
  return {
    payload: witPayload(payload),
    next: next === undefined || next === null ? undefined : encode(JSON.stringify(next)),
    watermark: absent(watermark),
    deleted: absent(deleted),
    total: absent(total),
  };
}

function witPayload(payload) {
  if (payload.tag === 'json-lines') return { tag: 'json-lines', val: payload.bytes };
  const { response, layout, pointer, projection } = payload;
  return { tag: 'document', val: { response: response.take().handle, layout, pointer, projection } };
}

function witOutcome(outcome) {
  switch (outcome.tag) {
    case 'written':
    case 'unchanged':
      return { tag: outcome.tag, val: outcome.id };
    case 'failed':
      return { tag: 'failed', val: witError(outcome.error) };
    default:
      return { tag: 'staged' };
  }
}
