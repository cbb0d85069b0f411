// Between the interfaces of the contract and this package; only a component imports it.
//
// A value that leaves an export and is not the contract's error ends the instance, and only the host's log shows its text. So each export turns
// any value that an adapter throws into the contract's failure.

import * as witFiles from 'infrahub-sync:adapter/files@0.2.0';
import * as witHttp from 'infrahub-sync:adapter/http@0.2.0';
import * as witLog from 'infrahub-sync:adapter/log@0.2.0';
import * as witMemo from 'infrahub-sync:adapter/memo@0.2.0';

import { AdapterError } from './errors.js';
import { HostError, useHost } from './host.js';
import { endCall } from './http.js';
import { LoadRequest } from './page.js';
import { Target } from './target.js';
import { decode, encode } from './text.js';
import { WriteRequest, asFailure } from './write.js';

/** Calls the host; a denial arrives as an Error whose `payload` is the contract's variant. */
function ask(call) {
  try {
    return call();
  } catch (error) {
    const refused = error?.payload;
    throw refused?.tag === undefined ? error : new HostError(refused.tag, refused.val);
  }
}

const bytesOf = (list) => (list instanceof Uint8Array ? list : Uint8Array.from(list));
const some = (value) => value ?? undefined;

/** A response of the real host. */
const responseOf = (handle) => ({
  handle,
  status: () => handle.status(),
  header: (name) => some(handle.header(name)),
  json: (pointers) => handle.json(pointers).map(some),
  count: (pointer) => some(handle.count(pointer)),
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
    const kept = some(witMemo.get(lifetime, key));
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

/** Returns the exports of the contract for an adapter's class. */
export function componentOf(adapterClass) {
  let configured;
  const adapter = () => {
    if (!configured) throw AdapterError.internal('the adapter was called before it was configured');
    return configured;
  };
  return {
    meta: {
      // This call cannot fail in the contract: an exception ends the instance, and the host shows its text.
      describe: () => witManifest(adapterClass.manifest()),
      configure: (settings) =>
        answer(() => {
          configured = adapterClass.configure(JSON.parse(settings));
        }),
    },
    schema: { kinds: (targets) => answer(() => adapter().kinds(targets.map(targetOf)).map(witKind)) },
    source: {
      load: ({ targets, cursor, since, ...rest }) =>
        answer(() => {
          const after = cursor === undefined || cursor === null ? undefined : JSON.parse(decode(bytesOf(cursor)));
          const request = new LoadRequest({ ...rest, targets: targets.map(targetOf), cursor: after, since: some(since) });
          return witPage(adapter().load(request));
        }),
      absent: (target, ids) => answer(() => adapter().absent(targetOf(target), ids)),
    },
    destination: {
      begin: (run) => answer(() => some(adapter().begin(runOf(run)))),
      write: (request) =>
        answer(() =>
          adapter()
            .write(new WriteRequest({ ...request, target: targetOf(request.target), rows: bytesOf(request.rows) }))
            .map(witOutcome),
        ),
      commit: (kinds) =>
        answer(() => {
          adapter().commit(kinds);
        }),
      cascade: (target, ids) => answer(() => adapter().cascade(targetOf(target), ids).map(witDependents)),
      finish: (run, result) => answer(() => some(adapter().finish(runOf(run), numbers(result)))),
    },
  };
}

const numbers = (record) => Object.fromEntries(Object.entries(record).map(([name, value]) => [name, Number(value)]));

const runOf = ({ id, sync, source, changes }) => ({
  id,
  sync,
  source,
  changes: changes.map(({ target, ...rows }) => ({ target: targetOf(target), ...numbers(rows) })),
});

const targetOf = ({ kind, resource, fields }) =>
  new Target({ kind, resource: some(resource), fields: fields.map(({ path, ...rest }) => ({ ...rest, path: some(path) })) });

const witDependents = ({ kind, count, ids = [] }) => ({ kind, count, ids });

function witManifest({ name, version, description, settings = [], credentials = [], ...rest }) {
  return {
    name,
    version,
    description,
    settings: settings.map(witSetting),
    addressSetting: rest.addressSetting,
    folderSetting: rest.folderSetting,
    credentials: credentials.map(witCredential),
    readingPaths: (rest.readingPaths ?? []).map(({ path, form = 'any' }) => ({ path, form })),
    aliases: (rest.aliases ?? []).map(({ name, setting, environment = [] }) => ({ name, setting, environment })),
    source: rest.source,
    destination: rest.destination,
    references: rest.references ?? [],
    tables: rest.tables ?? [],
    lookup: rest.lookup,
    evidence: witEvidence(rest.evidence ?? []),
    ownership: rest.ownership ?? false,
    readsIds: rest.readsIds ?? false,
    schema: rest.schema ?? false,
    pageSize: rest.pageSize ?? 1000,
    writeBatchMax: rest.writeBatchMax ?? 1000,
    writeConcurrency: rest.writeConcurrency ?? 1,
    hasIds: rest.hasIds ?? false,
  };
}

const witEvidence = (names) => ({
  total: names.includes('total'),
  changeLog: names.includes('change-log'),
  permissions: names.includes('permissions'),
});

function witSetting({ name, help, type = 'text', required = false, secret = false, default: value, ...rest }) {
  return {
    name,
    help,
    type,
    required,
    secret,
    environment: rest.environment ?? [],
    environmentSetting: rest.environmentSetting,
    projectFirst: rest.projectFirst ?? false,
    commandLine: rest.commandLine,
    default: value === undefined ? undefined : String(value),
  };
}

const witCredential = ({ when, ...form }) => ({ when, form: witCredentialForm(form) });

function witCredentialForm({ header, basic, query, login }) {
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

function witKind({ name, identifiers = [], fields = [], standsFor = [], cascades = [], uniqueTogether = [], ...can }) {
  const { canCreate = true, canUpdate = true, canDelete = true } = can;
  const taken = cascades.map(({ kind, field }) => ({ kind, field }));
  return { name, identifiers, fields: fields.map(witField), standsFor, cascades: taken, uniqueTogether, canCreate, canUpdate, canDelete };
}

function witField({ name, type = 'any', optional = false, unique = false, readOnly = false, references = [], choices = [], default: value }) {
  const text = value === undefined ? undefined : JSON.stringify(value);
  return { name, type, optional, unique, readOnly, references, choices, default: text };
}

function witPage({ payload, next, watermark, deleted, total, partial }) {
  return {
    payload: witPayload(payload),
    next: next === undefined || next === null ? undefined : encode(JSON.stringify(next)),
    watermark: some(watermark),
    deleted: some(deleted),
    total: some(total),
    partial: some(partial),
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
