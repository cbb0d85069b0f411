// Reading: what is asked for, and a page of records.

import { encode } from './text.js';

export class LoadRequest {
  constructor({ resource, fields = [], model = [], pageSize = 1000, cursor, since }) {
    this.resource = resource;
    this.fields = fields;
    this.model = model;
    this.pageSize = pageSize;
    this.cursor = cursor;
    this.since = since;
  }

  topLevelFields() {
    return [...new Set(this.fields.map((path) => path.split('.')[0]).filter(Boolean))];
  }
}

export class Page {
  constructor(payload, { next, watermark, deleted, total } = {}) {
    this.payload = payload;
    this.next = next;
    this.watermark = watermark;
    this.deleted = deleted;
    this.total = total;
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
