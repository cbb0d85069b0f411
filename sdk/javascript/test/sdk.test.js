// The SDK natively: npm test (in the folder above).

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Adapter, Outcome, Page, files, http, log, memo } from '../src/index.js';
import { endCall } from '../src/http.js';
import { decode, encode } from '../src/text.js';
import * as testing from '../src/testing.js';

beforeEach(() => testing.reset());

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
});

test('a status has its case and its words', () => {
  for (const [status, kind, body, words] of [
    [401, 'auth', { detail: 'no  token' }, ': no token'],
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

test('how long to wait is told', () => {
  testing.respond('GET', '/x', 429, '', { 'Retry-After': ' 7 ' });
  assert.throws(() => http.get('/x').success('x'), { kind: 'rate-limited', retryAfterMs: 7000 });
  testing.respond('GET', '/y', 429, '', { 'Retry-After': 'Fri, 31 Dec 1999 23:59:59 GMT' });
  assert.throws(() => http.get('/y').success('y'), { retryAfterMs: undefined });
});

test('a request says what it is', () => {
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

test('a response is of no use after its release, or after its call', () => {
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

test('what is no JSON is a failure of the system', () => {
  testing.respond('GET', '/x', 200, '<html>');
  assert.throws(() => http.get('/x').parse(), { kind: 'remote' });
});

test('in a run the first value stays and a lasting one is replaced', () => {
  assert.equal(memo.get('run', 'a'), undefined);
  assert.deepEqual([1, 2].map((value) => memo.put('run', 'a', value)), [1, 1]);
  assert.deepEqual(['é', '2'].map((value) => memo.put('lasting', 'a', value)), ['é', '2']);
  testing.nextRun();
  assert.deepEqual([memo.get('run', 'a'), memo.get('lasting', 'a')], [undefined, '2']);
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

test("records of one's own are lines", () => {
  const page = Page.records([{ id: 0, name: 'é' }, { id: 1 }], { next: { after: 1 } });
  assert.equal(decode(page.payload.bytes), '{"id":0,"name":"é"}\n{"id":1}\n');
  assert.deepEqual(testing.pageRecords(page), [{ id: 0, name: 'é' }, { id: 1 }]);
  assert.deepEqual(testing.pageRecords(Page.empty()), []);
});

test('a row that breaks the adapter does not take the others with it', () => {
  const request = testing.writeOf({ kind: 'K', operation: 'create', rows: [{ key: { n: 0 } }, { key: {} }, { key: { n: 2 } }] });
  const [one, broken, three] = request.outcomes(({ key }) => Outcome.written(key.n.toFixed()));
  assert.deepEqual([one, three], [{ tag: 'written', id: '0' }, { tag: 'written', id: '2' }]);
  assert.equal(broken.error.kind, 'internal');
  assert.match(broken.error.message, /^TypeError: /);
  assert.match(testing.messages()[0][1], /sdk\.test\.js/);
});

test('what an adapter does not implement is unsupported or nothing', () => {
  const adapter = Adapter.configure({ a: 1 });
  assert.deepEqual(adapter.settings, { a: 1 });
  for (const call of ['kinds', 'load', 'write']) assert.throws(() => adapter[call]({}), { kind: 'unsupported' });
  assert.deepEqual([adapter.begin(), adapter.commit(), adapter.finish()], [undefined, undefined, undefined]);
});

test('messages are kept', () => {
  log.info('a');
  log.warn('b');
  assert.deepEqual(testing.messages(), [['info', 'a'], ['warn', 'b']]);
});
