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

  kinds(_targets) {
    throw AdapterError.unsupported('this adapter does not know the kinds of its system');
  }

  load(_request) {
    throw AdapterError.unsupported('this adapter cannot be read');
  }

  absent(_target, _ids) {
    throw AdapterError.unsupported('this adapter has no evidence of deletions');
  }

  begin(_run) {}

  write(_request) {
    throw AdapterError.unsupported('this adapter cannot write');
  }

  commit(_kinds) {}

  cascade(_target, _ids) {
    return [];
  }

  finish(_run, _result) {}
}
