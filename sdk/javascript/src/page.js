// Reading: the request, and a page of records.

import { Target } from './target.js';
import { encode } from './text.js';

// The path at which a read returns the sync that made an object.
const OWNER = '@owner';

export class LoadRequest {
  constructor({ resource, fields = [], targets = [], ids = [], pageSize = 1000, cursor, since }) {
    this.resource = resource;
    this.fields = fields;
    this.targets = targets.map((target) => (target instanceof Target ? target : new Target(target)));
    this.ids = ids;
    this.pageSize = pageSize;
    this.cursor = cursor;
    this.since = since;
  }

  topLevelFields() {
    return [...new Set(this.fields.map((path) => path.split('.')[0]).filter((name) => name !== '' && name !== OWNER))];
  }

  get wantsOwner() {
    return this.fields.includes(OWNER);
  }
}

export class Page {
  constructor(payload, { next, watermark, deleted, total, partial } = {}) {
    this.payload = payload;
    this.next = next;
    this.watermark = watermark;
    this.deleted = deleted;
    this.total = total;
    this.partial = partial;
  }

  static document(response, pointer, { projection = [], ...rest } = {}) {
    return new Page({ tag: 'document', response, layout: 'json', pointer, projection }, rest);
  }

  static lines(response, rest) {
    return new Page({ tag: 'document', response, layout: 'json-lines', pointer: '', projection: [] }, rest);
  }

  static records(records, rest) {
    let text = '';
    for (const record of records) text += `${JSON.stringify(record)}\n`;
    return new Page({ tag: 'json-lines', bytes: encode(text) }, rest);
  }

  static empty(rest) {
    return Page.records([], rest);
  }
}
