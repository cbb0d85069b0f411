// Natively, on the mock host: npm install, then npm test.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import * as testing from 'infrahub-sync-adapter/testing';
import Inventory from './adapter.js';

const adapter = Inventory.configure({});

beforeEach(() => testing.reset());

// The model's Rack is a cabinet in this system, and some fields have other names.
const rack = {
  kind: 'Rack',
  resource: 'cabinets',
  fields: [{ name: 'name', path: 'label', identifier: true }, { name: 'height' }, { name: 'location', path: 'site.id', peers: ['Site'] }],
};

const write = (operation, ...rows) => adapter.write(testing.writeRequest(rack, operation, ...rows));

test('reads all pages of a list', () => {
  testing.respond('GET', '/v1/cabinets?page=1&size=2', 200, { items: [{ id: '1' }, { id: '2' }], total: 3 });
  testing.respond('GET', '/v1/cabinets?page=2&size=2', 200, { items: [{ id: '3', label: 'Zürich' }], total: 3 });
  const records = testing.loadAll(adapter, testing.firstPage('cabinets', ['label'], 2));
  assert.deepEqual(records.map(({ id }) => id), ['1', '2', '3']);
  assert.equal(records[2].label, 'Zürich');
});

test('rejects a list that moves', () => {
  testing.respond('GET', '/v1/cabinets?page=1&size=1', 200, { items: [{ id: '1' }], total: 3 });
  testing.respond('GET', '/v1/cabinets?page=2&size=1', 200, { items: [{ id: '3' }], total: 2 });
  assert.throws(() => testing.loadAll(adapter, testing.firstPage('cabinets', [], 1)), { kind: 'conflict' });
});

test('failures are cases', () => {
  for (const [status, body, kind] of [
    [401, { detail: 'no token' }, 'auth'],
    [404, '', 'not-found'],
    [500, '<html>', 'remote'],
    [200, '<html>', 'remote'],
    [200, { results: [] }, 'remote'],
  ]) {
    testing.reset();
    testing.respond('GET', '/v1/cabinets?page=1&size=1000', status, body);
    assert.throws(() => adapter.load(testing.firstPage('cabinets')), { kind });
  }
});

test('each row gets its outcome', () => {
  testing.respond('POST', '/v1/cabinets', 201, { id: '8' });
  testing.respond('POST', '/v1/cabinets', 409, { detail: 'there is one' });
  const [created, rejected, unknown] = write(
    'create',
    { key: { name: 'r1' }, fields: { name: 'r1', location: { kind: 'Site', key: { name: 'a' }, id: '17' } } },
    { key: { name: 'r2' }, fields: { name: 'r2' } },
    { key: { name: 'r3' }, fields: { name: 'r3', location: { kind: 'Site', key: { name: 'b' } } } },
  );
  assert.deepEqual(created, { tag: 'written', id: '8' });
  assert.deepEqual(testing.requests()[0].json(), { label: 'r1', site: '17' });
  assert.deepEqual([rejected.error.kind, rejected.error.httpStatus], ['conflict', 409]);
  assert.equal(unknown.error.kind, 'not-found');
});

test('does not create an object twice', () => {
  for (const height of [42, 48]) {
    testing.respond('POST', '/v1/cabinets', 409, { id: '7' });
    testing.respond('GET', '/v1/cabinets/7', 200, { id: '7', label: 'r1', height });
  }
  const row = { key: { name: 'r1' }, fields: { name: 'r1', height: 42 } };
  const [same, other] = write('create', row, row);
  assert.deepEqual(same, { tag: 'unchanged', id: '7' });
  assert.equal(other.error.kind, 'conflict');
});

test('a missing object needs no delete', () => {
  testing.respond('DELETE', '/v1/cabinets/8', 204);
  testing.respond('DELETE', '/v1/cabinets/9', 404);
  const [gone, before, unknown] = write('delete', { key: {}, id: '8' }, { key: {}, id: '9' }, { key: {} });
  assert.deepEqual([gone, before], [{ tag: 'written', id: '8' }, { tag: 'unchanged', id: '9' }]);
  assert.equal(unknown.error.kind, 'invalid');
});
