// Acts by the name of the resource: see tests/tests/languages.rs.

import { Adapter, AdapterError, Outcome, Page, System, files, http, log, memo } from 'infrahub-sync-adapter';

let kept;
const system = new System('the prober', { credential: ['token', 'PROBER_TOKEN'] });

/** Writes a batch that has no `bad` row. */
function halves(rows) {
  if (rows.includes('bad')) throw AdapterError.invalid(`one of ${rows.length} is bad`);
  return rows.map((row) => Outcome.written(`${row} of ${rows.length}`));
}

const asText = (value) => JSON.stringify(value).replaceAll(',', ', ').replaceAll('"', "'").replaceAll('null', 'None');

const word = (value) => (value === undefined ? 'None' : typeof value === 'boolean' ? (value ? 'True' : 'False') : value);

/** Returns a target as text that is the same in each language. */
function textOf({ kind, resource, fields }) {
  const texts = fields.map((field) => [field.name, field.path, field.peers.join('+'), field.many, field.identifier].map(word).join('/'));
  return `${kind}@${word(resource)}(${texts.join(' ')})`;
}

export default class Prober extends Adapter {
  static manifest() {
    return {
      name: 'prober',
      version: '1.2.3',
      description: 'acts by the name of the resource',
      settings: [
        { name: 'url', help: 'an address' },
        { name: 'path', help: 'a folder' },
        { name: 'wish', help: 'a number', type: 'integer', environment: ['WISH', 'WISH2'], default: 7 },
        { name: 'branch', help: 'a branch', projectFirst: true, commandLine: 'branch' },
        { name: 'variables', help: 'names of variables', type: 'json' },
        { name: 'token', help: 'a token', secret: true, environmentSetting: 'variables' },
        { name: 'user', help: 'a name' },
        { name: 'password', help: 'a password', secret: true },
      ],
      addressSetting: 'url',
      folderSetting: 'path',
      credentials: [
        {
          header: [
            { name: 'x-token', template: 'New {token}', prefix: 'new_' },
            { name: 'x-token', template: 'Old {token}' },
          ],
        },
        { basic: ['user', 'password'], when: { setting: 'wish', values: ['8', '9'] } },
        { query: ['key', 'token'] },
        {
          login: {
            steps: [
              { method: 'GET', path: '/hello', values: { csrf: { cookie: 'csrf' }, id: { header: 'X-Id' } } },
              { method: 'POST', path: '/login', headers: { 'X-Csrf': '{csrf}' }, json: '{"p": "{password}"}', values: { t: { json: '/t' } } },
            ],
            headers: { authorization: 'Bearer {t}' },
            renewAfterS: 60,
            expired: [401, 403],
            refresh: [{ method: 'POST', path: '/again', form: { t: '{t}' } }],
          },
        },
      ],
      readingPaths: [{ path: '/results' }, { path: '/graphql/*', form: 'graphql' }],
      aliases: [{ name: 'verify', setting: 'verify_ssl', environment: ['VERIFY'] }, { name: 'host', setting: 'url' }],
      source: 'kind',
      destination: 'mapping',
      references: ['unique-id', 'field-name', 'peer-columns'],
      tables: [{ name: 'node_name', resource: 'nodes', key: 'attributes.id', value: 'attributes.name' }],
      lookup: 'find',
      evidence: ['total', 'permissions'],
      ownership: true,
      readsIds: true,
      schema: true,
      pageSize: 7,
      writeBatchMax: 8,
      writeConcurrency: 3,
      hasIds: true,
    };
  }

  static configure(settings) {
    if (settings.wish === 13) throw AdapterError.config('`wish` must not be 13');
    if (settings.wish === 14) throw new TypeError('odd');
    return super.configure(settings);
  }

  kinds(targets) {
    const fields = [
      { name: 'name', type: 'text', unique: true },
      { name: 'region', type: 'reference', optional: true, references: ['Region', 'Place'] },
      { name: 'state', choices: ['a', 'b'], readOnly: true, default: 'a' },
    ];
    const cascades = [{ kind: 'Rack', field: 'site' }, { kind: 'Note' }];
    const uniqueTogether = [['region', 'name']];
    const site = { name: 'Site', identifiers: ['name'], fields, standsFor: ['Place'], cascades, uniqueTogether, canDelete: false };
    const kinds = [site, { name: 'Region' }];
    return kinds.filter(({ name }) => targets.length === 0 || targets.some(({ kind }) => kind === name));
  }

  load(request) {
    return this[request.resource](request);
  }

  echo(request) {
    log.info(`asked for ${request.resource}`);
    const record = {
      fields: request.fields,
      top: request.topLevelFields(),
      owner: request.wantsOwner,
      targets: request.targets.map(textOf),
      ids: request.ids,
      size: request.pageSize,
      cursor: request.cursor ?? null,
      since: request.since ?? null,
      wish: this.settings.wish,
      settings: Object.keys(this.settings).sort(),
    };
    return Page.records([record], { next: { after: ['é', 1] }, watermark: 'now', deleted: ['7', '8'], total: 3, partial: 'a part' });
  }

  absent(target, ids) {
    if (target.kind === 'Broken') throw AdapterError.remote(`no log of ${textOf(target)}`);
    return ids.map((id) => ({ 1: 'deleted', 2: 'present' })[id] ?? 'unknown');
  }

  text() {
    return Page.records([{ text: 'é 🦀 \0 " \\ \u2028' }, { text: null }]);
  }

  empty() {
    return Page.empty({ deleted: [] });
  }

  broken() {
    return undefined.nothing;
  }

  leave() {
    throw 'leaving';
  }

  recurse() {
    return [this.recurse()];
  }

  wait() {
    throw AdapterError.rateLimited('too fast', 1500).withStatus(429);
  }

  many() {
    for (let at = 0; at < 100; at++) http.get('/results').release();
    const response = http.post('/results', {
      json: { é: [1, null] },
      query: { a: 'b c' },
      headers: { 'x-own': '1' },
      onlyReads: true,
      timeoutMs: 5000,
    });
    return Page.document(response, '/results', { projection: [['name', '/title']], total: response.value('/total') });
  }

  keep() {
    kept = http.get('/results');
    return Page.empty();
  }

  give() {
    kept = http.get('/results');
    return Page.document(kept, '/results');
  }

  kept() {
    return Page.records([kept.parse()]);
  }

  part() {
    const response = http.get('/results');
    const found = [response.count('/results'), response.count('/total'), response.json(['/total', '/x']), response.header('x-h')];
    return Page.records([found.map((each) => each ?? null)]);
  }

  parse() {
    const response = http.get('/results');
    return Page.records([response.parse(), response.bytes().length]);
  }

  refused() {
    return Page.document(http.get('/refused').success('the refused'), '');
  }

  denied() {
    return Page.document(http.get('https://elsewhere.invalid/'), '');
  }

  memo({ pageSize }) {
    const lifetimes = ['run', 'lasting'];
    const found = lifetimes.map((lifetime) => memo.get(lifetime, 'k'));
    return Page.records([[found, lifetimes.map((lifetime) => memo.put(lifetime, 'k', ['é', pageSize]))]]);
  }

  files() {
    files.append('b.txt', 'é\n');
    files.append('b.txt', Uint8Array.of(116, 119, 111, 10));
    files.replace('b.txt', 'a.txt');
    files.remove('never.txt');
    const text = (response) => decodeURIComponent(escape(String.fromCharCode(...response.bytes())));
    const { response, next } = files.readLines('a.txt', 0, 1);
    const found = [files.list(), text(response), next, text(files.read('a.txt'))];
    files.remove('a.txt');
    return Page.records([found]);
  }

  helpers() {
    const made = [memo.once('made', () => ['é', 1]), memo.once('made', () => undefined.odd)];
    const response = system.success('results', http.get('/results'));
    const found = [response.get('/total', 'integer'), response.get('/results', 'list')[1], response.date() !== undefined];
    try {
      response.get('/nothing', 'text');
    } catch (error) {
      found.push(error.message);
    }
    found.push(system.unexpected('results', response).message, system.refuse('refused', http.get('/refused')).message);
    return Page.records([[...made, ...found]]);
  }

  missing() {
    return Page.lines(files.read('missing.jsonl'));
  }

  lines() {
    files.append('data.jsonl', '{"id": 1}\n{"id": 2}\n');
    return Page.lines(files.read('data.jsonl'));
  }

  begin({ id, sync, source, changes }) {
    return `${id} ${sync} ${source} ${asText(changes.map(({ target, creates, updates, deletes }) => [textOf(target), creates, updates, deletes]))}`;
  }

  write(request) {
    if (request.target.kind === 'Broken') return null.nothing;
    if (request.target.kind === 'Halves') return request.bisect(({ fields }) => fields.a, halves);
    const { target, operation, count } = request;
    return request.outcomes((row) => {
      switch (row.key.n) {
        case 0:
          return Outcome.written(asText([textOf(target), operation, count]));
        case 1:
          return Outcome.staged();
        case 2:
          return Outcome.unchanged(row.id);
        case 3:
          throw AdapterError.conflict(`no: ${row.fields.a}`).withStatus(409);
        default:
          return undefined.odd;
      }
    });
  }

  commit(kinds) {
    if (kinds.includes('Bad')) throw AdapterError.remote(kinds.join(' '));
  }

  cascade(target, ids) {
    if (target.kind === 'Broken') throw AdapterError.remote(`no cascades of ${textOf(target)}`);
    return [{ kind: 'Rack', count: 2 ** 33, ids }, { kind: 'notes', count: 1 }];
  }

  finish({ id, changes }, { created, updated, deleted, unchanged, failed, skipped }) {
    if (changes.length === 0) return undefined;
    return `${id} ${asText([created, updated, deleted, unchanged, failed, skipped])}`;
  }
}
