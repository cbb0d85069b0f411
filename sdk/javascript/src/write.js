// Writing: the request, and the outcomes of its rows.

import { AdapterError } from './errors.js';
import * as log from './log.js';
import { Target } from './target.js';
import { decode, lines } from './text.js';

// The system rejected the rows. Any other failure has another cause, and would come again for each half of them.
const REJECTIONS = ['invalid', 'conflict', 'not-found'];

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
    if (this.id === undefined) throw AdapterError.invalid('the id of this object is unknown');
    return this.id;
  }
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

  bisect(prepare, send) {
    const outcomes = new Map();
    const rows = [];
    let count = 0;
    for (const row of this.rows()) {
      try {
        rows.push([count, prepare(row)]);
      } catch (error) {
        outcomes.set(count, Outcome.failed(asFailure(error)));
      }
      count += 1;
    }
    const waiting = rows.length > 0 ? [[0, rows.length]] : [];
    let first = true;
    let rest = AdapterError.remote('the answer says nothing about this row');
    while (waiting.length > 0) {
      const [start, end] = waiting.pop();
      try {
        const part = rows.slice(start, end);
        const sent = send(part.map(([, row]) => row));
        part.slice(0, sent.length).forEach(([number], at) => outcomes.set(number, sent[at]));
      } catch (thrown) {
        const error = asFailure(thrown);
        if (REJECTIONS.includes(error.kind) && end - start > 1) {
          const middle = Math.floor((start + end) / 2);
          waiting.push([middle, end], [start, middle]);
        } else if (REJECTIONS.includes(error.kind)) {
          outcomes.set(rows[start][0], Outcome.failed(error));
        } else if (first) {
          throw error;
        } else {
          rest = error;
          break;
        }
      }
      first = false;
    }
    return Array.from({ length: count }, (_, at) => outcomes.get(at) ?? Outcome.failed(rest));
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
