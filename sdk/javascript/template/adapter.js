// An adapter for a REST API with paged lists, as a source and as a destination. Replace the parts that are special to this API.
//
//     GET    /v1/{resource}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
//     GET    /v1/{resource}/{id}              {"id": "7", "name": "r1"}
//     POST   /v1/{resource}                   201 {"id": "8", ...}; 409 {"id": "7", ...} if one of that name exists
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
      destination: 'mapping',
      hasIds: true,
      pageSize: 100,
      writeBatchMax: 100,
    };
  }

  /** @param {import('infrahub-sync-adapter').LoadRequest} request */
  load({ resource, pageSize, cursor, since }) {
    if (since !== undefined) throw AdapterError.unsupported('this system does not report modifications');
    const number = cursor?.page ?? 1;
    const response = http.get(pathOf(resource), { query: { page: number, size: pageSize } }).success(resource);
    const total = response.get('/total', 'integer');
    // Page numbers shift when an object is added or removed meanwhile, and a skipped object would look deleted.
    if (cursor && cursor.total !== total) {
      throw AdapterError.conflict(`${resource}: the list changed during the read; run it again`);
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
function writeRow({ target, operation }, row) {
  const path = pathOf(target.resourceOrKind);
  const fields = fieldsOf(target, row);
  if (operation === 'create') {
    const created = http.post(path, { json: fields });
    const id = created.value('/id') ?? undefined;
    // A write may be repeated after an interruption: an object with these very fields was created before.
    if (created.status === 409 && id !== undefined && has(`${path}/${http.pathSegment(id)}`, fields)) {
      created.release();
      return Outcome.unchanged(id);
    }
    // One response a row: a batch has more rows than the host keeps responses.
    created.success(target.resourceOrKind).release();
    return Outcome.written(id);
  }
  const url = `${path}/${http.pathSegment(row.knownId())}`;
  try {
    (operation === 'update' ? http.patch(url, { json: fields }) : http.del(url)).success(target.resourceOrKind).release();
  } catch (error) {
    // Likewise: a missing object was deleted before.
    if (operation === 'delete' && error.kind === 'not-found') return Outcome.unchanged(row.id);
    throw error;
  }
  return Outcome.written(row.id);
}

const pathOf = (resource) => `/v1/${http.pathSegment(resource)}`;

/** Returns the fields of a row as this system takes them: by their names in the system, references as ids. */
function fieldsOf(target, row) {
  return Object.fromEntries(
    Object.entries(row.fields).map(([name, value]) => {
      const field = target.knownField(name);
      // `site.id` is read, `site` is written.
      const [written] = field.splitPath();
      return [written, field.withPeers(value)];
    }),
  );
}

/** Returns whether the object has these fields. */
function has(url, fields) {
  const response = http.get(url);
  const found = response.isSuccess ? response.value('') : undefined;
  response.release();
  return Object.entries(fields).every(([name, value]) => JSON.stringify(found?.[name]) === JSON.stringify(value));
}
