/** What went wrong, as far as the host must act on it. */
export type ErrorKind =
  /** A setting or the mapping asks for something that cannot work: the user must change config.yml. */
  | 'config'
  /** The system rejected the credentials, or they do not permit this. */
  | 'auth'
  /** The resource or object does not exist. */
  | 'not-found'
  /** The object exists already, or was modified by another user. From `load`: the list moved, and is read again. */
  | 'conflict'
  /** The system rejected the data. */
  | 'invalid'
  /** The system asks for fewer requests. The host has retried already. */
  | 'rate-limited'
  /** No answer: connection, name resolution, TLS, timeout. */
  | 'transport'
  /** The system failed, or sent an invalid answer. */
  | 'remote'
  /** The adapter cannot do this. */
  | 'unsupported'
  /** A defect of the adapter itself. */
  | 'internal';

/** Any value that can be written as JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/**
 * A failure. `message` is one sentence for the user, without credentials.
 *
 * Anything else that the adapter throws becomes an `internal` one with its text, and its stack goes to the log.
 */
export class AdapterError extends Error {
  constructor(kind: ErrorKind, message: string, more?: { httpStatus?: number; retryAfterMs?: number });
  kind: ErrorKind;
  httpStatus?: number;
  retryAfterMs?: number;
  /** Makes a failure that config.yml causes: a setting or the mapping asks for something that cannot work. */
  static config(message: string): AdapterError;
  /** Makes a failure of the credentials: the system rejects them, or they do not permit this. */
  static auth(message: string): AdapterError;
  /** Makes the failure that the resource or object does not exist. */
  static notFound(message: string): AdapterError;
  /** Makes the failure that the object exists already, or was modified by another user. */
  static conflict(message: string): AdapterError;
  /** Makes the failure that the system rejects the data. */
  static invalid(message: string): AdapterError;
  /** Makes the failure that the system asks for fewer requests. */
  static rateLimited(message: string, retryAfterMs?: number): AdapterError;
  /** Makes the failure that there is no answer. */
  static transport(message: string): AdapterError;
  /** Makes the failure that the system failed, or sent an invalid answer. */
  static remote(message: string): AdapterError;
  /** Makes the failure that the adapter cannot do this. */
  static unsupported(message: string): AdapterError;
  /** Makes the failure of a defect in the adapter. */
  static internal(message: string): AdapterError;
  /** Adds the HTTP status that caused it. */
  withStatus(status: number): this;
  /**
   * Makes the failure that a response without success stands for, and releases the response. `what` names the requested resource.
   *
   * 401 and 403 are `auth`, 404 and 410 `not-found`, 409 and 412 `conflict`, 429 `rate-limited`, other 4xx `invalid`, all others `remote`. A
   * short text or JSON body is quoted. `System` has better words.
   */
  static fromResponse(what: string, response: Response): AdapterError;
}

/** The types that `Response.get` checks. */
export interface JsonTypes {
  boolean: boolean;
  integer: number;
  number: number;
  text: string;
  list: Json[];
  object: { [name: string]: Json };
}

/**
 * The names that messages about a system's refusals need: the system's own, and those of its settings.
 *
 * `new System('Acme', { credential: ['token', 'ACME_TOKEN'] })`
 */
export class System {
  /** `credential` is the setting of the credential and its environment variable, `address` the setting of the address (`url`). */
  constructor(name: string, options?: { credential?: [setting: string, variable: string]; address?: string });
  /** Returns the response if it is a success, else throws its refusal. `what` names the requested resource (`dcim.devices`). */
  success(what: string, response: Response): Response;
  /**
   * Returns the failure that a response without success stands for, and releases the response.
   *
   * 401 and 403 are `auth` and name the credential, 3xx are `config` and name the address, 429 is `rate-limited` and names `max_concurrency`;
   * for others see `AdapterError.fromResponse`. Each message quotes the system's own words, if they are short and not HTML, or `said`, which
   * the adapter took from the response.
   */
  refuse(what: string, response: Response, said?: string): AdapterError;
  /** Returns the failure for a success whose body is not the system's: HTML of a login page, or the answer of another product. */
  unexpected(what: string, response: Response): AdapterError;
}

/**
 * A response of a request or of a file. The body stays in host memory until the adapter asks for a part of it.
 *
 * The handle lives for the call in which it was received: hand it back in a page, or release it. The end of the call releases the others. The
 * host keeps a limited number at a time, so release responses before you ask for many.
 */
export class Response {
  /** The HTTP status; 200 for a file. It stays after the release. */
  readonly status: number;
  /** Whether the status is a success (2xx). */
  readonly isSuccess: boolean;
  /** Returns the value of a header, whatever its case; the first one of several. */
  header(name: string): string | undefined;
  /** Returns the time of the system when it answered: the header `Date`. Undefined if there is none. */
  date(): Date | undefined;
  /** Returns the JSON text at each RFC 6901 pointer, in one pass over the body; undefined where it leads nowhere. `''` is the whole body. */
  json(pointers: string[]): (string | undefined)[];
  /** Returns the value at a pointer; undefined where the pointer leads nowhere. */
  value(pointer: string): any;
  /** Returns the value at a pointer, which must be of that type. Throws `remote` if not; the message names the pointer. */
  get<T extends keyof JsonTypes>(pointer: string, type: T): JsonTypes[T];
  /** Returns the number of elements of the array at the pointer; undefined where there is no array. */
  count(pointer: string): number | undefined;
  /** Returns the whole body, copied into the adapter. For small bodies. */
  bytes(): Uint8Array;
  /** Parses the whole body as JSON. This costs many times as much as handing the response back: for small bodies. */
  parse(): any;
  /** Frees the memory before the call ends. */
  release(): void;
  /** Returns itself if it is a success, else throws the failure of its status: see `AdapterError.fromResponse`. `what` names the resource. */
  success(what: string): this;
  /**
   * Returns the system's own words about a refusal, as one short line: `detail`, `error` or `message` of a JSON body, else the JSON or the
   * plain text itself; never HTML.
   */
  detail(): string | undefined;
}

/** Pairs for a query. Commas, which separate lists, stay as they are. */
export type Query = Record<string, string | number | boolean> | [string, string | number | boolean][];

/** The parts of a request besides method and URL. */
export interface RequestOptions {
  query?: Query;
  /** A body that is written as JSON. */
  json?: unknown;
  body?: Uint8Array;
  headers?: Record<string, string>;
  /** A shorter limit for this request than the host's. */
  timeoutMs?: number;
  /** The host may send it twice. By default GET, HEAD, PUT and DELETE qualify. */
  onlyReads?: boolean;
  /**
   * The header (name, value) of a 429 or 503 answer that proves that the request was not executed. The host then repeats a request that does
   * not only read only after an answer with this header. By default: after any 429.
   */
  unprocessedIf?: [string, string];
}

/**
 * Requests, sent by the host: it adds the credentials, checks the address, keeps connections, retries and limits. A response is final, and
 * one of any status counts as a success here. A URL is a path below the configured address, beginning with `/`, or an absolute one of the same
 * origin.
 */
export namespace http {
  function request(method: string, url: string, options?: RequestOptions): Response;
  function get(url: string, options?: RequestOptions): Response;
  function post(url: string, options?: RequestOptions): Response;
  function put(url: string, options?: RequestOptions): Response;
  function patch(url: string, options?: RequestOptions): Response;
  /** Sends a DELETE, which is a keyword. */
  function del(url: string, options?: RequestOptions): Response;
  /** Returns a path with a query, encoded by RFC 3986. */
  function withQuery(path: string, query?: Query): string;
  /** Encodes a text, or an id, as one segment of a path. */
  function pathSegment(text: string | number): string;
}

/** The one folder that the project granted. Paths are relative, with `/`. */
export namespace files {
  /** Returns the names of the files in the folder, sorted, without sub-folders. */
  function list(): string[];
  /** Reads a whole file; the bytes stay with the host. */
  function read(path: string): Response;
  /**
   * Reads whole lines from `offset`, up to about `bytesMax` bytes (always at least one line), and returns where the next line begins; undefined
   * at the end of the file.
   */
  function readLines(path: string, offset: number, bytesMax: number): { response: Response; next?: number };
  /** Appends to a file. Creates it if it is missing. */
  function append(path: string, data: Uint8Array | string): void;
  /** Replaces a file by a finished one, atomically and durably. */
  function replace(from: string, to: string): void;
  /** Removes a file. A missing file is not an error. */
  function remove(path: string): void;
}

/** Messages for the user; they go to stderr with the adapter's name. */
export namespace log {
  /** Logs a step. */
  function trace(message: string): void;
  /** Logs a detail that helps to find a defect. */
  function debug(message: string): void;
  /** Logs an action that is done. */
  function info(message: string): void;
  /** Logs a warning that the user may act on. */
  function warn(message: string): void;
  /** Logs an error that is reported nowhere else. */
  function error(message: string): void;
}

/**
 * Small values that the host keeps: instances are created and dropped, and any of them may serve any call.
 *
 * Values belong to this component and its granted address. A value may be dropped at any time, so it can only save work. A key has up to 256
 * bytes, a value up to 8 MiB as JSON, all values of a lifetime together 32 MiB; the host does not keep more.
 */
export namespace memo {
  /** `run`: as long as this command runs; all instances of this side see it. `lasting`: for later runs, too. */
  type Lifetime = 'run' | 'lasting';
  /** Returns the value under a key; undefined if there is none. */
  function get(lifetime: Lifetime, key: string): any;
  /** Stores a value and returns the stored one: within a run the first value stays; a lasting one is replaced. */
  function put<T>(lifetime: Lifetime, key: string, value: T): T;
  /** Returns the value that this run keeps under a key, and makes it when there is none yet. A failure is not kept. */
  function once<T extends Json>(key: string, make: () => T): T;
}

/** A setting. The host takes the first of: the environment variables in their order, `settings` in config.yml, the default. */
export interface Setting {
  name: string;
  /** One line for the user. */
  help: string;
  /** How the value is checked; `text` by default. */
  type?: 'text' | 'boolean' | 'integer' | 'float' | 'json';
  required?: boolean;
  /** The value is a credential: the host keeps it and the adapter never sees it. */
  secret?: boolean;
  environment?: string[];
  /** The setting, a JSON list of texts, that names variables in place of `environment`. */
  environmentSetting?: string;
  /** `settings` in config.yml is taken before the environment. */
  projectFirst?: boolean;
  /** The command-line option that sets it when config.yml does not (`branch` for `--branch`). */
  commandLine?: string;
  default?: string | number | boolean;
}

/** Another spelling of a setting, of the adapter or of the host: `{ name: 'verify', setting: 'verify_ssl' }`. */
export interface Alias {
  name: string;
  /** The setting that it stands for. */
  setting: string;
  environment?: string[];
}

/** A setting and the values under which something applies. A setting without a value has its default. */
export interface Condition {
  setting: string;
  values: string[];
}

/** A header with a place for a secret: `{ name: 'authorization', template: 'Token {token}' }`. */
export interface HeaderTemplate {
  name: string;
  template: string;
  /** Used when the secret begins with this text; empty fits any. */
  prefix?: string;
}

/** A credential that the host adds to each request to the configured origin if `when` holds; by default always. */
export type Credential = { when?: Condition } & CredentialForm;

/** The forms of credentials. */
export type CredentialForm =
  /** A header; the host takes the first template whose prefix fits. */
  | { header: HeaderTemplate | HeaderTemplate[] }
  /** HTTP basic authentication from two settings. */
  | { basic: [userSetting: string, passwordSetting: string] }
  /** A query parameter with the value of a setting. */
  | { query: [parameter: string, setting: string] }
  /** A login, done by the host. */
  | { login: Login };

/** A login, done by the host before the first request that needs it. The adapter sees neither requests nor answers. */
export interface Login {
  /** The requests, in order; usually one. */
  steps: LoginStep[];
  /** The headers that each request gets afterwards: names and templates (`{ authorization: 'Bearer {token}' }`). */
  headers?: Record<string, string>;
  /** The age in seconds at which the host renews it before the next request. By default: when the system rejects it. */
  renewAfterS?: number;
  /** Statuses which say that the login has expired and that the request was not executed; `[401]` by default. */
  expired?: number[];
  /** The requests that renew it. By default the steps. */
  refresh?: LoginStep[];
}

/** A request of a login. */
export interface LoginStep {
  method: string;
  /** A path below the configured address, beginning with `/`: a template of settings that are not secret. */
  path: string;
  /** Names and templates. */
  headers?: Record<string, string>;
  /** A JSON body, a template: `{password}` stands for the setting of that name, within quotation marks. */
  json?: string;
  /** A form as the body: names and templates. */
  form?: Record<string, string>;
  /** The values to take from its answer, by name: the text at a pointer, a header, a cookie that is set. */
  values?: Record<string, { json: string } | { header: string } | { cookie: string }>;
}

/** A path below the configured address at which a request with a body only reads. */
export interface ReadingPath {
  /** It begins with `/`; `*` stands for one segment (`/graphql/*`). */
  path: string;
  /**
   * `graphql`: the path takes GraphQL, of which the host lets only queries through while it only reads. `any`, the default: the system changes
   * nothing there, whatever the body.
   */
  form?: 'any' | 'graphql';
}

/**
 * The words of the project that name a resource of this system: the mapping's `mapping:` (for a destination `destination_mapping:` first), or
 * its `name:`, the kind.
 */
export type Addressing = 'mapping' | 'kind';

/**
 * A rule by which the value of a reference is matched with an object. The host tries the manifest's rules in their order, and the system's id
 * and the natural key last.
 */
export type ReferenceRule =
  /** The record's own value at the field's name in the model comes before the mapping's path. */
  | 'field-name'
  /** The key is built from columns of this record: the paths from which the first mapping of the peer's kind takes its identifiers. */
  | 'peer-columns'
  /** The value is the peer's unique id text (identifiers joined by `__`). */
  | 'unique-id';

/** A table that the host makes of a resource and lends to transforms as a filter: `{{ x | name }}` is the value for the key `x`. */
export interface Table {
  name: string;
  resource: string;
  /** The dotted path of the keys, in a record of the resource. */
  key: string;
  /** The dotted path of the values. */
  value: string;
}

/** A statement of an adapter about objects that a read does not return. */
export type Evidence =
  /** Pages carry the number of objects that the system reports (`total`). */
  | 'total'
  /** Deletions are in a change log (`absent` answers from it). */
  | 'change-log'
  /** `absent` notices objects that exist but that the credentials do not show. */
  | 'permissions';

/** The adapter's description of itself. */
export interface Manifest {
  /** The name that a project uses. */
  name: string;
  version: string;
  /** One line: what system, which versions. */
  description: string;
  settings?: Setting[];
  /** The setting that holds the base address; HTTP goes there and nowhere else. Without it there is no network. */
  addressSetting?: string;
  /** The setting that holds the folder to be granted. Without it there are no files. */
  folderSetting?: string;
  credentials?: Credential[];
  /** The paths at which a request with a body only reads. While the host only reads, it denies all other such requests. */
  readingPaths?: ReadingPath[];
  /** Other spellings of settings. */
  aliases?: Alias[];
  /** How it is addressed as a source. Without it, it cannot be read. */
  source?: Addressing;
  /** How it is addressed as a destination. Without it, it cannot be written. */
  destination?: Addressing;
  references?: ReferenceRule[];
  tables?: Table[];
  /**
   * The name of the function `lookup(resource, key, path, default)` in transforms and in the `mapping:` of fields, if the adapter lends one. The
   * host evaluates it over the records of the resource.
   */
  lookup?: string;
  evidence?: Evidence[];
  /** A read returns at the path `@owner` the name of the sync that made an object, if the system records it, and writes record it. */
  ownership?: boolean;
  /** A read can be limited to ids (`LoadRequest.ids`). */
  readsIds?: boolean;
  /** It knows the kinds of its system. If not, the mapping alone gives the shapes. */
  schema?: boolean;
  /** Records to ask for in one page; 1000 by default. */
  pageSize?: number;
  /** Rows to hand over in one write, at most; 1000 by default. */
  writeBatchMax?: number;
  /** Writes in flight at a time, at most; 1 by default. */
  writeConcurrency?: number;
  /** The system gives its objects ids, by which references can be written. */
  hasIds?: boolean;
}

/** The type of a field's values. */
export type FieldType =
  | 'any'
  | 'boolean'
  | 'integer'
  | 'float'
  | 'text'
  | 'timestamp'
  | 'ip-interface'
  | 'ip-network'
  | 'ip-address'
  | 'mac'
  | 'json'
  | 'list'
  | 'reference'
  | 'reference-list';

/** A field of a kind. */
export interface Field {
  name: string;
  type?: FieldType;
  /** May be null or absent. */
  optional?: boolean;
  /** No two objects of the kind have the same value. */
  unique?: boolean;
  /** Computed by the system: never written, never compared. */
  readOnly?: boolean;
  /** The kinds that a reference may point to; generic kinds count for the kinds that stand for them. */
  references?: string[];
  /** The closed set of values; empty if any value is allowed. */
  choices?: string[];
  /** The value that the system sets when none is given. */
  default?: Json;
}

/** Objects that the system deletes along with another one. */
export interface Cascade {
  /** The kind of the objects that are deleted, or their resource where the schema knows no kind. */
  kind: string;
  /** Their field that refers to the deleted object. Undefined: the system does not expose it. */
  field?: string;
}

/** A kind of objects as the system's schema describes it. */
export interface Kind {
  name: string;
  /** The fields of the natural key, in order. Empty where the schema does not tell. */
  identifiers?: string[];
  fields?: Field[];
  /** Further kinds that a reference may name to accept an object of this kind. */
  standsFor?: string[];
  /** Objects that are deleted along with an object of this kind. */
  cascades?: Cascade[];
  /** Sets of fields whose values together no two objects have, unless one of the values is null. */
  uniqueTogether?: string[][];
  canCreate?: boolean;
  canUpdate?: boolean;
  canDelete?: boolean;
}

/** The parts of a field of a target. */
export interface TargetFieldShape {
  /** The field's name in the model. */
  name: string;
  /**
   * The dotted path of the field in this system (`status.value`). It is the path that is read; the adapter knows how the field is written.
   * Undefined: the system is addressed by kind, or the mapping names no path.
   */
  path?: string;
  /** The kinds that the field may refer to; empty if it is not a reference. */
  peers?: string[];
  /** The field holds a set of references. */
  many?: boolean;
  /** The field is part of the natural key. Identifiers come first, in the order of the key. */
  identifier?: boolean;
}

/** A field of a kind, as the project uses it. */
export class TargetField implements Required<Omit<TargetFieldShape, 'path'>> {
  constructor(field: TargetFieldShape);
  name: string;
  path?: string;
  peers: string[];
  many: boolean;
  identifier: boolean;
  /** The dotted path at which the field is read: the mapping's, or its name. */
  readonly readPath: string;
  /** Whether it is a reference, or a set of references. */
  readonly isReference: boolean;
  /** Returns the first segment of the path (`status` of `status.value`) and the rest, if any: many systems take the value at the first one. */
  splitPath(): [first: string, rest: string | undefined];
  /**
   * Returns a value of the field with its references replaced: by null, by one value of `peer`, or by a list of them. A value of a field without
   * references stays as it is. By default a reference becomes its peer's id.
   */
  withPeers(value: any, peer?: (reference: Reference) => any): any;
}

/** The parts of a target. */
export interface TargetShape {
  /** The mapping's `name:`. */
  kind: string;
  /** The list or resource that holds its objects (`dcim.devices`). Undefined: the system is addressed by kind. */
  resource?: string;
  fields?: TargetFieldShape[];
}

/** A kind of the project and its place in this system. The same record serves reading and writing, source and destination. */
export class Target {
  constructor(target: TargetShape);
  kind: string;
  resource?: string;
  fields: TargetField[];
  /** The resource; the kind, where the system is addressed by kind. */
  readonly resourceOrKind: string;
  /** The fields of the natural key, in the order of the key. */
  readonly identifiers: TargetField[];
  /** Returns the field with that name in the model; undefined if the project has no such field. */
  field(name: string): TargetField | undefined;
  /** Returns the field, which the rows of a write always have in their target; throws `internal` if not. */
  knownField(name: string): TargetField;
  /** Returns the fields that are read at that path. A path may feed several fields. */
  fieldsAt(path: string): TargetField[];
}

/** A request for one page of a resource. */
export class LoadRequest {
  constructor(request: Partial<Omit<LoadRequest, 'targets'>> & { resource: string; targets?: TargetShape[] });
  /** The resource (`dcim.devices`), or the kind, as the manifest's `source` says. */
  resource: string;
  /** The kinds that are made of this resource, with the fields that the project uses. Empty for a table or an inventory of ids. */
  targets: Target[];
  /**
   * The dotted paths that are read; `name.*` where a filter or transform may read anything below `name`, `@owner` for the sync that made the
   * object. The adapter may return more; `id` is always welcome.
   */
  fields: string[];
  /** Only these objects, by id. Empty: no such limit. Only asked of an adapter whose manifest says `readsIds`. */
  ids: string[];
  pageSize: number;
  /** The `next` of the page before; undefined for the first page. */
  cursor?: any;
  /**
   * The watermark of an earlier load: the adapter returns the records modified since then. An adapter that cannot tell throws
   * `AdapterError.unsupported`. Undefined: all records.
   */
  since?: string;
  /**
   * Returns the top-level names of the fields that are read (`site.slug` is `site`), each once, in order. `@owner` is not among them: see
   * `wantsOwner`.
   */
  topLevelFields(): string[];
  /** Whether the name of the sync that made an object is asked for, at the path `@owner`. */
  readonly wantsOwner: boolean;
}

/** The whereabouts of an object that a load did not return. */
export type Absence =
  /** Deleted: the system says so, by its change log or by the id. */
  | 'deleted'
  /** It exists and was not listed: the list moved, or a filter or permission hides it. */
  | 'present'
  /** The system does not tell. */
  | 'unknown';

/** The parts of a page besides its records. */
export interface PageOptions {
  /** Where to continue: any value that can be written as JSON. Undefined on the last page. */
  next?: Json;
  /** The `since` of the next run, by the clock of the system, from before the load began. Read on the first page. */
  watermark?: string;
  /** On the first page of a load with `since`: ids of the objects deleted since then, where the system tells. */
  deleted?: string[];
  /** On the first page: the number of objects that the resource has, where the system tells. */
  total?: number;
  /** The reason why the answer is incomplete, if the system says so. Objects that are missing from such a load are never deleted. */
  partial?: string;
}

/** A page of records. */
export class Page {
  /**
   * Makes a page whose records are the array (or the values of the object) at the pointer of the response's JSON. They stay with the host: by
   * far the fastest. `projection` has the fields that are not at their own path: [requested dotted path, pointer within the record].
   */
  static document(response: Response, pointer: string, options?: PageOptions & { projection?: [string, string][] }): Page;
  /** Makes a page whose records are the lines of the response, one JSON object each. */
  static lines(response: Response, options?: PageOptions): Page;
  /** Makes a page of the adapter's own records: anything that can be written as JSON objects. */
  static records(records: Iterable<unknown>, options?: PageOptions): Page;
  /** Makes a page without records. */
  static empty(options?: PageOptions): Page;
  readonly payload: unknown;
  next?: Json;
  watermark?: string;
  deleted?: string[];
  total?: number;
  partial?: string;
}

/** A row of a write. */
export class Row {
  /** The natural key: identifier to value. */
  key: Record<string, any>;
  /** The system's own id of the object, when the host knows it. */
  id?: string;
  /**
   * All set fields on create, the changed ones on update (null = clear), none on delete, by their names in the model. `TargetField.withPeers`
   * reads references.
   */
  fields: Record<string, any>;
  /** Returns the id of the object; throws `invalid` if the host does not know it. */
  knownId(): string;
}

/** A reference of a row: another object. */
export interface Reference {
  /** The kind of the object itself, also where the field refers to a generic kind. */
  kind: string;
  /** Its natural key. */
  key: Record<string, any>;
  /** Its id in this system, when the host knows it. */
  id?: string | null;
  /** Its list, where the system is addressed by mapping. */
  resource?: string;
  /** The kinds that the field may refer to, where there are several. */
  of?: string[];
}

/** Returns the id of the object that a reference points to; throws `not-found` if the host does not know it. */
export function peerId(reference: Reference): string;

/** The outcome of a row. */
export type Outcome =
  | { tag: 'written' | 'unchanged'; id?: string }
  | { tag: 'staged' }
  | { tag: 'failed'; error: AdapterError };

export const Outcome: {
  /** Reports a row as written, with the id that the system gave, if it has ids. */
  written(id?: string | number | null): Outcome;
  /** Reports a row as accepted, and written when `commit` succeeds. */
  staged(): Outcome;
  /** Reports that the destination has the wanted state already: nothing was sent. */
  unchanged(id?: string | number | null): Outcome;
  /** Reports a row as rejected; the other rows are not affected. */
  failed(error: AdapterError): Outcome;
};

/** Rows of one target and one operation. */
export class WriteRequest {
  constructor(request: object);
  target: Target;
  operation: 'create' | 'update' | 'delete';
  count: number;
  /** Parses the rows, one at a time. */
  rows(): Iterable<Row>;
  /**
   * Writes row by row. An `AdapterError` that `write` throws is that row's failure, and so is anything else, as `internal`: the outcomes of the
   * rows before it are kept.
   */
  outcomes(write: (row: Row) => Outcome): Outcome[];
  /**
   * Sends the rows in as few requests as possible. A batch that the system rejects as a whole is halved until the rows at fault are alone.
   *
   * `prepare` converts a row for `send`. If it throws, the row fails and is not sent.
   *
   * `send` sends one request and returns one outcome a row. An `AdapterError` of kind `invalid`, `conflict` or `not-found` says that the system
   * rejected the rows and wrote none of them. After any other error no further request is sent: it is the failure of the rows that have no
   * outcome yet. If it comes from the first request, it is thrown: the outcome of every row is unknown.
   */
  bisect<T>(prepare: (row: Row) => T, send: (rows: T[]) => Outcome[]): Outcome[];
}

/** Objects of one kind that a delete takes along. */
export interface Dependents {
  /** The kind; the resource where the system is addressed by mapping. */
  kind: string;
  count: number;
  /** Their ids, if the system tells them. */
  ids?: string[];
}

/** A run that is about to write. */
export interface Run {
  /** The run's id, as in the cache. */
  id: string;
  /** The project's `name`. */
  sync: string;
  /** The `name` of the project's source. */
  source: string;
  /** One entry for each kind and resource with changes, in rows. */
  changes: { target: Target; creates: number; updates: number; deletes: number }[];
}

/** The outcome of a run, in rows. */
export interface RunResult {
  created: number;
  updated: number;
  deleted: number;
  unchanged: number;
  failed: number;
  skipped: number;
}

/**
 * An adapter: its description of itself, and how its system is read and written. The module's default export is its class.
 *
 * The host makes an instance with `configure` and may make several; any of them may serve any page. So do not keep in `this` what a later call
 * needs: state travels in the cursor, or is kept by the host (`memo`). All calls are synchronous.
 */
export class Adapter {
  /** The settings of config.yml without the secrets, as `configure` got them. */
  settings: Record<string, any>;
  /** Describes the adapter. Called before anything else: no network, no files, no settings. */
  static manifest(): Manifest;
  /** Receives the settings, without the secrets, and makes the adapter. The default keeps them as `this.settings`. */
  static configure(settings: Record<string, any>): Adapter;
  /**
   * Returns the kinds of the targets, or all kinds when the list is empty. Only called when the manifest says `schema`. Names of kinds and
   * fields are those of the targets: a system that is addressed by mapping answers for `resource` and `path`. Leave out a kind that the system
   * does not have.
   */
  kinds(targets: Target[]): Kind[];
  /** Reads one page. Nothing is kept between calls. */
  load(request: LoadRequest): Page;
  /**
   * Says of objects that an earlier run had read and this one did not whether they are deleted, in the order of the ids. Called when the
   * manifest names evidence beyond `total`.
   */
  absent(target: Target, ids: string[]): Absence[];
  /**
   * Prepares a run. Called once before the first write, also when there is nothing to write: the place to remove leftovers of an interrupted
   * run, and to check what would be rejected. The text, if any, is shown to the user.
   */
  begin(run: Run): string | void;
  /**
   * Writes a batch of rows of one target and one operation. Returns one outcome a row, in their order (`request.outcomes` and
   * `request.bisect` help). A failure that is thrown means that the outcome of every row is unknown.
   */
  write(request: WriteRequest): Outcome[];
  /** Makes the rows of these kinds durable that `write` reported as staged. An adapter that writes at once needs no `commit`. */
  commit(kinds: string[]): void;
  /**
   * Returns what a delete of these objects takes along in the system, beyond the ids themselves. Asked before a plan with deletes is made, of
   * kinds with `cascades`.
   */
  cascade(target: Target, ids: string[]): Dependents[];
  /** Ends a run. Called once after the last commit of a run that completed, also when rows were rejected. The text, if any, is shown. */
  finish(run: Run, result: RunResult): string | void;
}
