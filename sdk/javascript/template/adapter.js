// An adapter for a REST API with paged lists, as a source and as a destination. Replace what is special about it by your system.
//
//     GET    /v1/{resource}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
//     GET    /v1/{resource}/{id}              {"id": "7", "name": "r1"}
//     POST   /v1/{resource}                   201 {"id": "8", ...}; 409 {"id": "7", ...} when there is one of that name
//     PATCH  /v1/{resource}/{id}              200
//     DELETE /v1/{resource}/{id}              204

import { Adapter, AdapterError, Outcome, Page, http } from 'infrahub-sync-adapter';

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
      source: 'mapping',
      destination: true,
      hasIds: true,
      pageSize: 100,
      writeBatchMax: 100,
    };
  }

  /** @param {import('infrahub-sync-adapter').LoadRequest} request */
  load({ resource, pageSize, cursor, since }) {
    if (since !== undefined) throw AdapterError.unsupported('this system does not tell what changed');
    const number = cursor?.page ?? 1;
    const response = http.get(pathOf(resource), { query: { page: number, size: pageSize } }).success(resource);
    const total = response.value('/total');
    if (!Number.isInteger(total)) throw AdapterError.remote(`${resource}: the answer is no list with a \`total\``);
    // Pages by number shift when somebody adds or removes an object meanwhile, and what is skipped would look deleted.
    if (cursor && cursor.total !== total) {
      throw AdapterError.conflict(`${resource}: the list changed while it was read; run it again`);
    }
    const more = number * pageSize < total;
    return Page.document(response, '/items', { next: more ? { page: number + 1, total } : undefined, total });
  }

  /** @param {import('infrahub-sync-adapter').WriteRequest} request */
  write(request) {
    return request.outcomes((row) => writeRow(request, row));
  }
}

/**
 * @param {import('infrahub-sync-adapter').WriteRequest} request
 * @param {import('infrahub-sync-adapter').Row} row
 */
function writeRow({ kind, resource, operation, references }, row) {
  const path = pathOf(resource ?? kind);
  const fields = Object.fromEntries(
    Object.entries(row.fields).map(([name, value]) => [name, references.includes(name) ? plain(value) : value]),
  );
  if (operation === 'create') {
    const created = http.post(path, { json: fields });
    const id = created.value('/id') ?? undefined;
    // A write may be repeated after an interruption: what is there as it should be was created before.
    if (created.status === 409 && id !== undefined && isThere(`${path}/${encodeURIComponent(id)}`, fields)) {
      created.release();
      return Outcome.unchanged(String(id));
    }
    // One response a row: a batch has more rows than the host keeps responses.
    created.success(kind).release();
    return Outcome.written(id === undefined ? undefined : String(id));
  }
  if (row.id === undefined) throw AdapterError.invalid('the id of this object is not known');
  const url = `${path}/${encodeURIComponent(row.id)}`;
  try {
    (operation === 'update' ? http.patch(url, { json: fields }) : http.del(url)).success(kind).release();
  } catch (error) {
    // In the same way: what is gone was deleted before.
    if (operation === 'delete' && error.kind === 'not-found') return Outcome.unchanged(row.id);
    throw error;
  }
  return Outcome.written(row.id);
}

const pathOf = (resource) => `/v1/${encodeURIComponent(resource)}`;

/** Whether the object has these fields already. */
function isThere(url, fields) {
  const response = http.get(url);
  const found = response.isSuccess ? response.value('') : undefined;
  response.release();
  return Object.entries(fields).every(([name, value]) => JSON.stringify(found?.[name]) === JSON.stringify(value));
}

/** A reference as this system wants it: the peer's id, or a list of them. */
function plain(reference) {
  if (Array.isArray(reference)) return reference.map(plain);
  if (reference === null) return null;
  if (reference.id === undefined || reference.id === null) {
    throw AdapterError.invalid(`the id of the ${reference.kind} that it refers to is not known`);
  }
  return reference.id;
}
