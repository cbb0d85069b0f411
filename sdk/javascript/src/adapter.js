// The class that an author derives from.

import { AdapterError } from './errors.js';

export class Adapter {
  static manifest() {
    throw AdapterError.internal(`${this.name} has no manifest`);
  }

  static configure(settings) {
    const adapter = new this();
    adapter.settings = settings;
    return adapter;
  }

  kinds(_names) {
    throw AdapterError.unsupported('this adapter does not know the kinds of its system');
  }

  load(_request) {
    throw AdapterError.unsupported('this adapter cannot be read');
  }

  begin(_run) {}

  write(_request) {
    throw AdapterError.unsupported('this adapter cannot write');
  }

  commit(_kinds) {}

  finish(_run, _result) {}
}
