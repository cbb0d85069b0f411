import type { Adapter, LoadRequest, Page, Row, WriteRequest } from './index.js';

/** A request that the adapter sent. */
export interface SentRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  timeoutMs?: number;
  onlyReads: boolean;
  unprocessedIf?: [string, string];
  /** The body, read as JSON. */
  json(): any;
}

/** Forgets everything that was registered and recorded. */
export function reset(): void;
/**
 * Registers the answer to a request: bytes, text, or any value that can be written as JSON. The URL must be the same text. Several answers to
 * the same request are given in their order, the last one again and again.
 */
export function respond(method: string, url: string, status: number, body?: unknown, headers?: Record<string, string>): void;
/** Registers what answers requests that have no answer of their own; undefined is no answer. */
export function respondWith(
  handler: (request: SentRequest) => { status: number; body?: unknown; headers?: Record<string, string> } | undefined,
): void;
/** Makes the next request that `breaks` says yes to fail in transport, once. */
export function failRequest(breaks: (request: SentRequest) => boolean): void;
/** Begins another run: what was kept for the length of a run is forgotten, what lasts is not. */
export function nextRun(): void;
/** The requests that were sent, in their order. */
export function requests(): SentRequest[];
/** What was logged (level, text), in its order. */
export function messages(): [string, string][];
/** Puts a file into the folder. */
export function putFile(path: string, data: Uint8Array | string): void;
/** The bytes of a file of the folder; undefined when there is none. */
export function file(path: string): Uint8Array | undefined;
/** A request for the first page. */
export function firstPage(resource: string, fields?: string[], pageSize?: number): LoadRequest;
/** A write of these rows. */
export function writeOf(request: {
  kind: string;
  operation: 'create' | 'update' | 'delete';
  rows: Partial<Row>[];
  resource?: string;
  identifiers?: string[];
  references?: string[];
}): WriteRequest;
/** Reads all pages, and the records in them as the host would see them. */
export function loadAll(adapter: Adapter, request: LoadRequest): any[];
/** The records of a page. Throws when the payload is not what the contract says: that is what a test wants to know. */
export function pageRecords(page: Page): any[];
