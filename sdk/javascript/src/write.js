// Writing: the request, and the outcomes of its rows.

import { AdapterError } from './errors.js';
import * as log from './log.js';
import { Target } from './target.js';
import { decode, lines } from './text.js';

// Failures of data. Any other one has a cause beside the rows, and would come again for each half of them.
const OF_ROWS = ['invalid', 'conflict', 'not-found'];

export const Outcome = {
  written: (id) => ({ tag: 'written', id: textOf(id) }),
  staged: () => ({ tag: 'staged' }),
  unchanged: (id) => ({ tag: 'unchanged', id: textOf(id) }),
  failed: (error) => ({ tag: 'failed', error }),
};

const textOf = (id) => (id === undefined || id === null ? undefined : String(id));

export class Row {
  constructor({ key, id, fields }) {
    this.key = key;
    this.id = id ?? undefined;
    this.fields = fields ?? {};
  }

  knownId() {
    if (this.id === undefined) throw AdapterError.invalid('the id of this object is not known');
    return this.id;
  }
}

export function referenceIds(value) {
  if (Array.isArray(value)) return value.map(referenceIds);
  if (value === null) return null;
  if (value.id === undefined || value.id === null) {
    throw AdapterError.invalid(`the id of the ${value.kind} that it refers to is not known`);
  }
  return value.id;
}

export class WriteRequest {
  #lines;

  constructor({ target, operation, rows, count }) {
    this.target = target instanceof Target ? target : new Target(target);
    this.operation = operation;
    this.count = count;
    this.#lines = rows;
  }

  *rows() {
    for (const line of lines(decode(this.#lines))) yield new Row(JSON.parse(line));
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

  outcomesByHalves(write) {
    const rows = [...this.rows()];
    const outcomes = new Map();
    const waiting = rows.length > 0 ? [[0, rows.length]] : [];
    while (waiting.length > 0) {
      const [start, end] = waiting.pop();
      let written;
      try {
        written = write(rows.slice(start, end));
      } catch (thrown) {
        const error = asFailure(thrown);
        if (!OF_ROWS.includes(error.kind)) {
          if (outcomes.size === 0) throw error;
          return rows.map((_, at) => outcomes.get(at) ?? Outcome.failed(error));
        }
        if (end - start === 1) outcomes.set(start, Outcome.failed(error));
        else {
          const middle = Math.floor((start + end) / 2);
          waiting.push([middle, end], [start, middle]);
        }
        continue;
      }
      if (written.length !== end - start) throw AdapterError.internal(`${written.length} outcomes for ${end - start} rows`);
      written.forEach((outcome, at) => outcomes.set(start + at, outcome));
    }
    return rows.map((_, at) => outcomes.get(at));
  }
}

/** Returns anything that was thrown as a failure with its text; where it is no AdapterError, its stack goes to the log. */
export function asFailure(thrown) {
  if (thrown instanceof AdapterError) return thrown;
  if (!(thrown instanceof Error)) return AdapterError.internal(`a value was thrown that is not an error: ${String(thrown)}`);
  const text = `${thrown.name}: ${thrown.message}`;
  const stack = String(thrown.stack ?? '');
  log.error(stack.includes(text) ? stack : `${text}\n${stack}`.trimEnd());
  return AdapterError.internal(text);
}
