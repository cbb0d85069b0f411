// Writing: what is asked for, and what became of it.

import { AdapterError } from './errors.js';
import * as log from './log.js';
import { decode, lines } from './text.js';

export const Outcome = {
  written: (id) => ({ tag: 'written', id: textOf(id) }),
  staged: () => ({ tag: 'staged' }),
  unchanged: (id) => ({ tag: 'unchanged', id: textOf(id) }),
  failed: (error) => ({ tag: 'failed', error }),
};

const textOf = (id) => (id === undefined || id === null ? undefined : String(id));

export class WriteRequest {
  #lines;

  constructor({ kind, resource, operation, identifiers = [], references = [], rows, count }) {
    this.kind = kind;
    this.resource = resource;
    this.operation = operation;
    this.identifiers = identifiers;
    this.references = references;
    this.count = count;
    this.#lines = rows;
  }

  *rows() {
    for (const line of lines(decode(this.#lines))) {
      const { key, id, fields } = JSON.parse(line);
      yield { key, id: id ?? undefined, fields: fields ?? {} };
    }
  }

  outcomes(write) {
    const outcomes = [];
    for (const row of this.rows()) {
      try {
        outcomes.push(write(row));
      } catch (error) {
        outcomes.push(Outcome.failed(asFailure(error)));
      }
    }
    return outcomes;
  }
}

/** Whatever was thrown, as a failure with its text; where it was no AdapterError, its stack goes to the log. */
export function asFailure(thrown) {
  if (thrown instanceof AdapterError) return thrown;
  if (!(thrown instanceof Error)) return AdapterError.internal(`something was thrown that is no error: ${String(thrown)}`);
  const text = `${thrown.name}: ${thrown.message}`;
  const stack = String(thrown.stack ?? '');
  log.error(stack.includes(text) ? stack : `${text}\n${stack}`.trimEnd());
  return AdapterError.internal(text);
}
