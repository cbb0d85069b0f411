import type { Adapter, LoadRequest, Page, Row, TargetShape, WriteRequest } from './index.js';

/** A request that the adapter sent. */
export interface SentRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  timeoutMs?: number;
  onlyReads: boolean;
  unprocessedIf?: [string, string];
  /** Parses the body as JSON. */
  json(): any;
}

/** Drops everything that was registered and recorded. */
export function reset(): void;
/**
 * Registers the answer to a request: bytes, text, or any value that can be written as JSON. The URL must be the same text. Several answers to
 * the same request are given in order; the last one repeats.
 */
export function respond(method: string, url: string, status: number, body?: unknown, headers?: Record<string, string>): void;
/** Registers a function for requests without an answer of their own. It returns the answer; undefined: no answer. */
export function respondWith(
  handler: (request: SentRequest) => { status: number; body?: unknown; headers?: Record<string, string> } | undefined,
): void;
/** Makes the next request for which `breaks` returns true fail in transport, once. */
export function failRequest(breaks: (request: SentRequest) => boolean): void;
/** Begins another run: drops the values of the run, keeps the lasting ones. */
export function nextRun(): void;
/** Returns the requests that were sent, in order. */
export function requests(): SentRequest[];
/** Returns the messages that were logged (level, text), in order. */
export function messages(): [string, string][];
/** Puts a file into the folder. */
export function putFile(path: string, data: Uint8Array | string): void;
/** Returns the bytes of a file of the folder; undefined if it is missing. */
export function file(path: string): Uint8Array | undefined;
/** Makes a request for the first page. */
export function firstPage(resource: string, fields?: string[], pageSize?: number): LoadRequest;
/** Makes a request for the first page of a target: its resource, and the paths of its fields. */
export function firstPageOf(target: TargetShape): LoadRequest;
/** Makes a write of these rows. */
export function writeRequest(target: TargetShape, operation: 'create' | 'update' | 'delete', ...rows: Partial<Row>[]): WriteRequest;
/** Reads all pages. Returns their records as the host sees them. */
export function loadAll(adapter: Adapter, request: LoadRequest): any[];
/** Returns the records of a page. Throws when the payload breaks the contract. */
export function pageRecords(page: Page): any[];
