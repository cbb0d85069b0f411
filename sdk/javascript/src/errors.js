// Failures are cases: the host acts on the kind, the user reads the message.

import { decode } from './text.js';

// Characters of a system's own text in a message: enough for a sentence, not for a page of HTML.
const DETAIL_CHARS_MAX = 300;

export class AdapterError extends Error {
  constructor(kind, message, { httpStatus, retryAfterMs } = {}) {
    super(message);
    this.name = 'AdapterError';
    this.kind = kind;
    this.httpStatus = httpStatus;
    this.retryAfterMs = retryAfterMs;
  }

  static config(message) {
    return new AdapterError('config', message);
  }

  static auth(message) {
    return new AdapterError('auth', message);
  }

  static notFound(message) {
    return new AdapterError('not-found', message);
  }

  static conflict(message) {
    return new AdapterError('conflict', message);
  }

  static invalid(message) {
    return new AdapterError('invalid', message);
  }

  static rateLimited(message, retryAfterMs) {
    return new AdapterError('rate-limited', message, { retryAfterMs });
  }

  static transport(message) {
    return new AdapterError('transport', message);
  }

  static remote(message) {
    return new AdapterError('remote', message);
  }

  static unsupported(message) {
    return new AdapterError('unsupported', message);
  }

  static internal(message) {
    return new AdapterError('internal', message);
  }

  withStatus(status) {
    this.httpStatus = status;
    return this;
  }

  static fromResponse(what, response) {
    const { status } = response;
    const detail = response.detail();
    const after = (response.header('retry-after') ?? '').trim();
    response.release();
    // Only digits: the host has waited already where the header is a date.
    const retryAfterMs = /^[0-9]+$/.test(after) ? Number(after) * 1000 : undefined;
    const message = `${what}: HTTP status ${status}${detail ? `: ${detail}` : ''}`;
    return new AdapterError(kindOf(status), message, { httpStatus: status, retryAfterMs });
  }
}

function kindOf(status) {
  if (status === 401 || status === 403) return 'auth';
  if (status === 404 || status === 410) return 'not-found';
  if (status === 409 || status === 412) return 'conflict';
  if (status === 429) return 'rate-limited';
  return status >= 400 && status < 500 ? 'invalid' : 'remote';
}

/** Returns the text of a refusal at a length for people: the usual JSON members, else a plain text; never HTML. */
export function detail(response) {
  const found = response.json(['/detail', '/error', '/message', '']).find((text) => text !== undefined);
  let text;
  if (found !== undefined) {
    const value = JSON.parse(found);
    text = typeof value === 'string' ? value : found;
  } else {
    text = decode(response.bytes());
    if (text === undefined || text.trimStart().startsWith('<')) return undefined;
  }
  text = text.split(/\s+/).filter(Boolean).join(' ');
  const characters = [...text];
  if (characters.length > DETAIL_CHARS_MAX) return `${characters.slice(0, DETAIL_CHARS_MAX).join('')}…`;
  return text || undefined;
}
