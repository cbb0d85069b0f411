// The SDK natively: npm test (in the folder above).

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Adapter, AdapterError, LoadRequest, Outcome, Page, System, Target, files, http, log, memo } from '../src/index.js';
import { endCall } from '../src/http.js';
import { decode, encode } from '../src/text.js';
import * as testing from '../src/testing.js';

beforeEach(() => testing.reset());

const acme = new System('Acme', { credential: ['token', 'ACME_TOKEN'], address: 'server' });
const racks = new Target({
  kind: 'Rack',
  resource: 'dcim.racks',
  fields: [{ name: 'name', identifier: true }, { name: 'state', path: 'status.value' }, { name: 'location', path: 'site', peers: ['Site', 'Room'] }],
});

test('text goes through UTF-8 and back as with the platform', () => {
  const texts = ['', 'plain', 'é ü ß', '日本語', '🦀 and 𝒳', '\u0000\u007f\u0080\u07ff\u0800\uffff', 'x'.repeat(10000) + '🦀'.repeat(5000)];
  for (const text of texts) {
    assert.deepEqual(encode(text), new TextEncoder().encode(text));
    assert.equal(decode(encode(text)), text);
  }
  for (const broken of ['a\ud800', '\udc00b', '\ud800\ud800']) {
    assert.deepEqual(encode(broken), new TextEncoder().encode(broken));
  }
  const refused = [[0xff], [0xc0, 0x80], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80], [0xf8]];
  for (const bytes of refused) {
    assert.equal(decode(Uint8Array.from(bytes)), undefined, bytes);
    assert.throws(() => new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes)));
  }
});

test('a query is encoded', () => {
  assert.equal(
    http.withQuery('/x/', { q: "a&b=ü /+'", fields: 'id,name', limit: 1000 }),
    '/x/?q=a%26b%3D%C3%BC%20%2F%2B%27&fields=id,name&limit=1000',
  );
  assert.equal(http.withQuery('/x?a=1', [['b', 2], ['b', 3]]), '/x?a=1&b=2&b=3');
  assert.equal(http.withQuery('/x'), '/x');
  assert.equal(http.pathSegment('a/b?c,d'), 'a%2Fb%3Fc%2Cd');
  assert.equal(http.pathSegment(7), '7');
});

test('a status is a kind of failure', () => {
  for (const [status, kind, body, words] of [
    [401, 'auth', { detail: 'no  token' }, ': no token'],
    [302, 'remote', '', ''],
    [404, 'not-found', '', ''],
    [412, 'conflict', { error: { a: 1 } }, ': {"a":1}'],
    [400, 'invalid', 'x'.repeat(400), `: ${'x'.repeat(300)}…`],
    [503, 'remote', '<html>', ''],
    [500, 'remote', Uint8Array.of(0xff), ''],
  ]) {
    testing.reset();
    testing.respond('GET', '/x', status, body);
    assert.throws(() => http.get('/x').success('the list'), { kind, httpStatus: status, message: `the list: HTTP status ${status}${words}` });
  }
});

test('a refusal says what to change', () => {
  const headers = { Location: 'https://acme.example.com/', 'Retry-After': '3' };
  const lacks = '`token` (ACME_TOKEN) is missing, wrong or expired, or lacks the permission';
  for (const [status, kind, message] of [
    [401, 'auth', `Acme denies access to \`racks\`: ${lacks}`],
    [403, 'auth', `Acme denies access to \`racks\`: ${lacks}`],
    [301, 'config', '`server` is not the address of Acme: it redirects to https://acme.example.com/'],
    [404, 'not-found', 'Acme has no `racks`'],
    [409, 'conflict', 'Acme rejects `racks` with HTTP status 409'],
    [429, 'rate-limited', 'Acme asks for fewer requests: set a lower `max_concurrency`'],
    [422, 'invalid', 'Acme rejects `racks` with HTTP status 422'],
    [503, 'remote', 'Acme failed on `racks` with HTTP status 503'],
  ]) {
    testing.reset();
    testing.respond('GET', '/x', status, '<html>no</html>', headers);
    testing.respond('GET', '/y', status, { detail: 'the bell\n  tolls' }, headers);
    assert.throws(() => acme.success('racks', http.get('/x')), { kind, message, httpStatus: status, retryAfterMs: 3000 });
    assert.equal(acme.refuse('racks', http.get('/y')).message.includes('(the bell tolls)'), status !== 301);
    assert.equal(acme.refuse('racks', http.get('/y'), 'its own').message.includes('(its own)'), status !== 301);
  }
  testing.respond('GET', '/z', 403);
  const { message } = new System('Acme').refuse('racks', http.get('/z'));
  assert.equal(message, 'Acme denies access to `racks`: the credential is missing, wrong or expired, or lacks the permission');
  testing.respond('GET', '/ok', 200);
  assert.ok(acme.success('racks', http.get('/ok')).isSuccess);
});

test('a page for people is not an answer', () => {
  testing.respond('GET', '/x', 200, '<html>Log in</html>', { 'Content-Type': 'text/html' });
  const { kind, httpStatus, message } = acme.unexpected('racks', http.get('/x'));
  assert.deepEqual([kind, httpStatus], ['remote', 200]);
  assert.equal(message, 'the answer for `racks` is not from Acme (text/html): check that `server` is the address of Acme');
});

test('retry-after is read', () => {
  testing.respond('GET', '/x', 429, '', { 'Retry-After': ' 7 ' });
  assert.throws(() => http.get('/x').success('x'), { kind: 'rate-limited', retryAfterMs: 7000 });
  testing.respond('GET', '/y', 429, '', { 'Retry-After': 'Fri, 31 Dec 1999 23:59:59 GMT' });
  assert.throws(() => http.get('/y').success('y'), { retryAfterMs: undefined });
});

test('a request carries its options', () => {
  testing.respondWith(() => ({ status: 200, body: {} }));
  http.post('/x', { json: { a: 'é' }, headers: { 'X-A': '1' }, onlyReads: true, unprocessedIf: ['x-busy', '1'], timeoutMs: 5 });
  http.del('/x');
  http.patch('/x', { json: [] });
  const [post, del, patch] = testing.requests();
  assert.deepEqual(post.json(), { a: 'é' });
  assert.deepEqual(post.headers, { accept: 'application/json', 'content-type': 'application/json', 'x-a': '1' });
  assert.deepEqual([post.onlyReads, post.unprocessedIf, post.timeoutMs], [true, ['x-busy', '1'], 5]);
  assert.deepEqual([del.onlyReads, patch.onlyReads], [true, false]);
  testing.reset();
  assert.throws(() => http.get('/x'), { kind: 'transport' });
});

test('a response is invalid after its release, and after its call', () => {
  testing.respond('GET', '/x', 200, { 'a/b': { '~': [1, null] } });
  const response = http.get('/x');
  assert.deepEqual(response.json(['/a~1b/~0/0', '/a~1b/~0/1', '/nothing']), ['1', 'null', undefined]);
  assert.deepEqual([response.count('/a~1b/~0'), response.count('/a~1b'), response.value('/nothing')], [2, undefined, undefined]);
  assert.deepEqual(response.parse(), { 'a/b': { '~': [1, null] } });
  response.release();
  response.release();
  assert.equal(response.status, 200);
  assert.throws(() => response.bytes(), { kind: 'internal' });
  const left = http.get('/x');
  endCall();
  assert.throws(() => left.parse(), { kind: 'internal' });
});

test('a value has its type and a failure its pointer', () => {
  testing.respond('GET', '/x', 200, { n: 7, f: 1.5, t: 'x', b: true, l: [1], o: { a: null } });
  const response = http.get('/x');
  for (const [pointer, type, value] of [
    ['/n', 'integer', 7],
    ['/f', 'number', 1.5],
    ['/t', 'text', 'x'],
    ['/b', 'boolean', true],
    ['/l', 'list', [1]],
    ['/o', 'object', { a: null }],
  ]) {
    assert.deepEqual(response.get(pointer, type), value);
  }
  for (const [pointer, type, message] of [
    ['/f', 'integer', 'the value at `/f` of the answer is not an integer'],
    ['/b', 'number', 'the value at `/b` of the answer is not a number'],
    ['/n', 'boolean', 'the value at `/n` of the answer is not a boolean'],
    ['/o/a', 'text', 'the value at `/o/a` of the answer is not a text'],
    ['/o', 'list', 'the value at `/o` of the answer is not a list'],
    ['/l', 'object', 'the value at `/l` of the answer is not an object'],
    ['/nothing', 'text', 'the answer has no JSON value at `/nothing`'],
  ]) {
    assert.throws(() => response.get(pointer, type), { kind: 'remote', httpStatus: 200, message });
  }
});

test('a body that is not JSON is a failure of the system', () => {
  testing.respond('GET', '/x', 200, '<html>');
  assert.throws(() => http.get('/x').parse(), { kind: 'remote', message: 'the answer cannot be read: it is not JSON' });
  assert.throws(() => http.get('/x').get('', 'object'), { message: 'the answer has no JSON value' });
});

test('the date of an answer is read', () => {
  for (const [text, date] of [
    ['Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
    ['Tue, 29 Feb 2028 23:59:60 GMT', '2028-03-01T00:00:00.000Z'],
    ['Sun, 06 Nov 1994 08:49:37 CET', undefined],
    ['Sun, 31 Feb 1994 08:49:37 GMT', undefined],
    ['Sun, 06 Nov 1994 08:49:61 GMT', undefined],
    ['Sun, 06 Nov', undefined],
  ]) {
    testing.reset();
    testing.respond('GET', '/x', 200, '', { Date: text });
    assert.equal(http.get('/x').date()?.toISOString(), date, text);
  }
  testing.respond('GET', '/y', 200);
  assert.equal(http.get('/y').date(), undefined);
});

test('in a run the first value stays and a lasting one is replaced', () => {
  assert.equal(memo.get('run', 'a'), undefined);
  assert.deepEqual([1, 2].map((value) => memo.put('run', 'a', value)), [1, 1]);
  assert.deepEqual(['é', '2'].map((value) => memo.put('lasting', 'a', value)), ['é', '2']);
  testing.nextRun();
  assert.deepEqual([memo.get('run', 'a'), memo.get('lasting', 'a')], [undefined, '2']);
});

test('a value is made once in a run', () => {
  let made = 0;
  const make = () => {
    made += 1;
    return null;
  };
  assert.deepEqual([memo.once('a', make), memo.once('a', make), made], [null, null, 1]);
  const fail = () => {
    throw AdapterError.remote('not now');
  };
  assert.throws(() => memo.once('b', fail), { kind: 'remote' });
  assert.deepEqual([memo.once('b', () => 'é'), memo.once('b', fail)], ['é', 'é']);
  testing.nextRun();
  memo.once('a', make);
  assert.equal(made, 2);
});

test('lines are read whole', () => {
  const whole = 'one\ntwo\n\nthree, the longest\nlast';
  testing.putFile('a', whole);
  for (let bytesMax = 1; bytesMax < 40; bytesMax++) {
    let offset = 0;
    let read = '';
    while (offset !== undefined) {
      const { response, next } = files.readLines('a', offset, bytesMax);
      const text = decode(response.bytes());
      assert.ok(next === undefined || text.endsWith('\n'));
      read += text;
      offset = next;
    }
    assert.equal(read, whole);
  }
});

test('files stay in the folder', () => {
  files.append('b', '1');
  files.append('b', Uint8Array.of(50));
  files.append('a', '');
  assert.deepEqual(files.list(), ['a', 'b']);
  files.replace('b', 'a');
  assert.equal(decode(files.read('a').bytes()), '12');
  assert.throws(() => files.read('b'), { kind: 'not-found' });
  files.remove('a');
  files.remove('a');
  assert.throws(() => files.append('../a', ''), { kind: 'config' });
});

test('records of the adapter are lines', () => {
  const page = Page.records([{ id: 0, name: 'é' }, { id: 1 }], { next: { after: 1 } });
  assert.equal(decode(page.payload.bytes), '{"id":0,"name":"é"}\n{"id":1}\n');
  assert.deepEqual(testing.pageRecords(page), [{ id: 0, name: 'é' }, { id: 1 }]);
  assert.deepEqual(testing.pageRecords(Page.empty()), []);
});

test('a row that breaks the adapter does not break the others', () => {
  const request = testing.writeRequest(racks, 'create', { key: { n: 0 } }, { key: {} }, { key: { n: 2 } });
  const [one, broken, three] = request.outcomes(({ key }) => Outcome.written(key.n.toFixed()));
  assert.deepEqual([one, three], [{ tag: 'written', id: '0' }, { tag: 'written', id: '2' }]);
  assert.equal(broken.error.kind, 'internal');
  assert.match(broken.error.message, /^TypeError: /);
  assert.match(testing.messages()[0][1], /sdk\.test\.js/);
});

function halved(count, write) {
  const sent = [];
  const rows = Array.from({ length: count }, (_, n) => ({ key: { n } }));
  const send = (part) => {
    sent.push(part);
    return write(part);
  };
  const outcomes = testing.writeRequest(racks, 'create', ...rows).bisect(({ key }) => key.n, send);
  return [sent, outcomes.map(({ id, error }) => id ?? error.message)];
}

test('a rejected batch is halved until the rows at fault are alone', () => {
  const write = (rows) => {
    if (rows.includes(2) || rows.includes(6)) throw AdapterError.invalid(`bad: ${rows}`);
    return rows.map((n) => Outcome.written(`id ${n}`));
  };
  const [sent, outcomes] = halved(7, write);
  assert.deepEqual(outcomes, ['id 0', 'id 1', 'bad: 2', 'id 3', 'id 4', 'id 5', 'bad: 6']);
  assert.deepEqual(sent, [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2], [0], [1, 2], [1], [2], [3, 4, 5, 6], [3, 4], [5, 6], [5], [6]]);
  assert.deepEqual(halved(0, write), [[], []]);
});

test('a failure that is not of the rows is not halved', () => {
  const closed = () => {
    throw AdapterError.auth('closed');
  };
  assert.throws(() => halved(4, closed), { kind: 'auth' });
  for (const at of [0, 2]) {
    const [sent, outcomes] = halved(8, (rows) => {
      if (rows.length > 2) throw AdapterError.invalid('bad');
      if (rows[0] === at) throw AdapterError.transport('broken');
      return rows.map((n) => Outcome.written(n));
    });
    assert.deepEqual(outcomes, [...['0', '1'].slice(0, at), ...Array(8 - at).fill('broken')]);
    assert.deepEqual(sent.at(-1), [at, at + 1]);
  }
});

test('a row that cannot be prepared is not sent', () => {
  const rows = [0, 1, 2, 3].map((n) => ({ key: { n } }));
  const prepare = ({ key }) => {
    if (key.n === 1) throw AdapterError.invalid('odd');
    return key.n === 3 ? undefined.nothing : key.n;
  };
  const send = (part) => part.map((n) => Outcome.written(`${n} of ${part.length}`));
  const [first, odd, third, broken] = testing.writeRequest(racks, 'create', ...rows).bisect(prepare, send);
  assert.deepEqual([first.id, odd.error.message, third.id, broken.error.kind], ['0 of 2', 'odd', '2 of 2', 'internal']);
});

test('a row that the answer leaves out failed', () => {
  const [, outcomes] = halved(2, () => [Outcome.written('0')]);
  assert.deepEqual(outcomes, ['0', 'the answer says nothing about this row']);
});

test('fields are found by name and by path', () => {
  assert.deepEqual([racks.resourceOrKind, new Target({ kind: 'Rack' }).resourceOrKind], ['dcim.racks', 'Rack']);
  assert.deepEqual(racks.knownField('state').splitPath(), ['status', 'value']);
  assert.deepEqual(racks.knownField('name').splitPath(), ['name', undefined]);
  const names = (fields) => fields.map(({ name }) => name);
  assert.deepEqual([names(racks.fieldsAt('site')), names(racks.fieldsAt('name')), names(racks.identifiers)], [['location'], ['name'], ['name']]);
  assert.deepEqual(racks.fields.map(({ isReference }) => isReference), [false, false, true]);
  assert.throws(() => racks.knownField('nope'), { kind: 'internal', message: 'the target `Rack` has no field `nope`' });
});

test('the owner is not a field', () => {
  const request = new LoadRequest({ resource: 'racks', fields: ['site.slug', '@owner', 'name', 'site.name'] });
  assert.deepEqual([request.topLevelFields(), request.wantsOwner], [['site', 'name'], true]);
  assert.equal(new LoadRequest({ resource: 'racks' }).wantsOwner, false);
  const { resource, fields, targets } = testing.firstPageOf(racks);
  assert.deepEqual([resource, fields, targets], ['dcim.racks', ['name', 'status.value', 'site'], [racks]]);
});

test('references become what the system wants', () => {
  const site = racks.knownField('location');
  const peer = { kind: 'Site', key: { name: 'a' }, id: '7' };
  assert.deepEqual([peer, [peer, peer], [], null].map((value) => site.withPeers(value)), ['7', ['7', '7'], [], null]);
  assert.deepEqual(site.withPeers([peer], ({ id }) => Number(id)), [7]);
  assert.equal(racks.knownField('name').withPeers(peer), peer);
  const message = 'the object {"name":"Zürich"} of `Site`, to which it refers, is not in the system';
  assert.throws(() => site.withPeers([peer, { kind: 'Site', key: { name: 'Zürich' } }]), { kind: 'not-found', message });
});

test('a missing method is unsupported or does nothing', () => {
  const adapter = Adapter.configure({ a: 1 });
  assert.deepEqual(adapter.settings, { a: 1 });
  for (const call of ['kinds', 'load', 'write', 'absent']) assert.throws(() => adapter[call]({}), { kind: 'unsupported' });
  assert.deepEqual([adapter.begin(), adapter.commit(), adapter.finish()], [undefined, undefined, undefined]);
  assert.deepEqual(adapter.cascade(racks, ['1']), []);
});

test('messages are kept', () => {
  log.info('a');
  log.warn('b');
  assert.deepEqual(testing.messages(), [['info', 'a'], ['warn', 'b']]);
});
