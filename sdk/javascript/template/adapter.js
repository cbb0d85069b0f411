// An adapter for a REST API with paged lists, as a source and as a destination. Replace the parts that are special about your system.
//
//     GET    /v1/{list}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
//     GET    /v1/{list}/{id}              {"id": "7", "name": "r1"}
//     POST   /v1/{list}                   201 {"id": "8", ...}; 409 {"id": "7", ...} when there is one of that name
//     PATCH  /v1/{list}/{id}              200
//     DELETE /v1/{list}/{id}              204

import { Adapter, AdapterError, Outcome, Page, System, http } from 'infrahub-sync-adapter';

// The names in messages about refusals.
const system = new System('the inventory', { credential: ['token', 'INVENTORY_TOKEN'] });

export default class Inventory extends Adapter {
  /** @returns {import('infrahub-sync-adapter').Manifest} */
  static manifest() {
    return {
      name: 'inventory',
      version: '0.1.0',
      description: 'a REST API with paged lists, as a source and as a destination',
      settings: [
        { name: 'url', help: 'its address', required: true, environment: ['INVENTORY_URL'] },
        { name: 'token', help: 'an API token', secret: true, environment: ['INVENTORY_TOKEN'] },
      ],
      addressSetting: 'url',
      // The host adds it to each request. The adapter never sees the token.
      credentials: [{ header: { name: 'authorization', template: 'Bearer {token}' } }],
      // In both directions, a project names the list by `mapping:`.
      source: 'mapping',
      destination: 'mapping',
      evidence: ['total'],
      hasIds: true,
      pageSize: 100,
      writeBatchMax: 100,
    };
  }

  /** @param {import('infrahub-sync-adapter').LoadRequest} request */
  load({ resource, pageSize, cursor, since }) {
    if (since !== undefined) throw AdapterError.unsupported('this system does not tell which objects changed');
    const number = cursor?.page ?? 1;
    const response = system.success(resource, http.get(listPath(resource), { query: { page: number, size: pageSize } }));
    const total = totalOf(resource, response);
    // Pages by number shift when an object is added or removed meanwhile, and a skipped object would look deleted.
    if (cursor && cursor.total !== total) throw AdapterError.conflict(`\`${resource}\` was modified while it was read: run again`);
    const more = number * pageSize < total;
    return Page.document(response, '/items', { next: more ? { page: number + 1, total } : undefined, total });
  }

  /** @param {import('infrahub-sync-adapter').WriteRequest} request */
  write(request) {
    return request.outcomes((row) => writeRow(request, row));
  }
}

function totalOf(list, response) {
  try {
    return response.get('/total', 'integer');
  } catch {
    throw system.unexpected(list, response);
  }
}

/**
 * @param {import('infrahub-sync-adapter').WriteRequest} request
 * @param {import('infrahub-sync-adapter').Row} row
 */
function writeRow({ target, operation }, row) {
  // Objects are written to the list from which they are read, whatever the project calls their kind.
  const list = target.resourceOrKind;
  if (operation === 'create') return create(list, body(target, row));
  const url = objectPath(list, row.knownId());
  // One response a row: a batch has more rows than the host keeps responses.
  if (operation === 'update') {
    system.success(list, http.patch(url, { json: body(target, row) })).release();
    return Outcome.written(row.id);
  }
  try {
    system.success(list, http.del(url)).release();
  } catch (error) {
    // A write may be repeated after an interruption: this object was deleted before.
    if (error.kind === 'not-found') return Outcome.unchanged(row.id);
    throw error;
  }
  return Outcome.written(row.id);
}

function create(list, fields) {
  const created = http.post(listPath(list), { json: fields });
  const id = created.value('/id') ?? undefined;
  // In the same way: an object with these values was created before.
  if (created.status === 409 && id !== undefined && has(objectPath(list, id), fields)) {
    created.release();
    return Outcome.unchanged(id);
  }
  system.success(list, created).release();
  return Outcome.written(id);
}

/** Returns the fields of a row in the system's words: a value is written to the place from which it is read, a reference by the peer's id. */
function body(target, row) {
  const written = ([name, value]) => {
    const field = target.knownField(name);
    return [field.splitPath()[0], field.withPeers(value)];
  };
  return Object.fromEntries(Object.entries(row.fields).map(written));
}

const listPath = (list) => `/v1/${http.pathSegment(list)}`;
const objectPath = (list, id) => `${listPath(list)}/${http.pathSegment(id)}`;

/** Says whether the object has these values already. */
function has(url, fields) {
  const response = http.get(url);
  const found = response.isSuccess ? response.value('') : undefined;
  response.release();
  return Object.entries(fields).every(([name, value]) => JSON.stringify(found?.[name]) === JSON.stringify(value));
}
