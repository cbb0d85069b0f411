// The SDK for adapters in JavaScript. The author's guide is the README beside this folder; types are in index.d.ts.
//
// The contract itself, with a comment on every item, is wit/adapter.wit; this package hides the code that is generated from it.

export { Adapter } from './adapter.js';
export { AdapterError } from './errors.js';
export * as files from './files.js';
export * as http from './http.js';
export { Response } from './http.js';
export * as log from './log.js';
export * as memo from './memo.js';
export { LoadRequest, Page } from './page.js';
export { System } from './refusal.js';
export { Target, TargetField, peerId } from './target.js';
export { Outcome, Row, WriteRequest } from './write.js';
