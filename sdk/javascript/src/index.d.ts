/** What went wrong, as far as the host must act on it. */
export type ErrorKind =
  /** A setting or the mapping asks for something that cannot work: the user must change config.yml. */
  | 'config'
  /** The credentials were refused, or do not permit this. */
  | 'auth'
  /** The resource or object does not exist. */
  | 'not-found'
  /** The object exists already, or somebody else changed it. */
  | 'conflict'
  /** The system refused the data. */
  | 'invalid'
  /** The system asks for fewer requests. The host has retried already. */
  | 'rate-limited'
  /** There was no answer. */
  | 'transport'
  /** The system failed, or answered something that is no valid answer. */
  | 'remote'
  /** The adapter cannot do this. */
  | 'unsupported'
  /** A defect of the adapter. */
  | 'internal';

/** Any value that can be written as JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/**
 * A failure. `message` is one sentence for a person, without credentials.
 *
 * Anything else that is thrown out of the adapter becomes an `internal` one with its text, and its stack goes to the log.
 */
export class AdapterError extends Error {
  constructor(kind: ErrorKind, message: string, more?: { httpStatus?: number; retryAfterMs?: number });
  kind: ErrorKind;
  httpStatus?: number;
  retryAfterMs?: number;
  /** A setting or the mapping asks for something that cannot work: the user must change config.yml. */
  static config(message: string): AdapterError;
  /** The credentials were refused, or do not permit this. */
  static auth(message: string): AdapterError;
  /** The resource or object does not exist. */
  static notFound(message: string): AdapterError;
  /** The object exists already, or somebody else changed it. */
  static conflict(message: string): AdapterError;
  /** The system refused the data. */
  static invalid(message: string): AdapterError;
  /** The system asks for fewer requests. */
  static rateLimited(message: string, retryAfterMs?: number): AdapterError;
  /** There was no answer. */
  static transport(message: string): AdapterError;
  /** The system failed, or answered something that is no valid answer. */
  static remote(message: string): AdapterError;
  /** The adapter cannot do this. */
  static unsupported(message: string): AdapterError;
  /** A defect of the adapter. */
  static internal(message: string): AdapterError;
  /** Adds the HTTP status that caused it. */
  withStatus(status: number): this;
  /**
   * What a response that is no success means; `what` says what was asked for. The response is released.
   *
   * 401 and 403 are `auth`, 404 and 410 `not-found`, 409 and 412 `conflict`, 429 `rate-limited`, other 4xx `invalid`, all else `remote`. A
   * short text or JSON body is quoted.
   */
  static fromResponse(what: string, response: Response): AdapterError;
}

/**
 * A response of a request or of a file. The body stays in host memory until the adapter asks for a part of it.
 *
 * The handle lives for the call in which it was received: hand it back in a page, or release it. What is left when the call ends is released
 * then; the host keeps a limited number at a time, so release what you are done with before you ask for many.
 */
export class Response {
  /** The HTTP status; 200 for a file. It can be asked after the release, too. */
  readonly status: number;
  /** Whether the status is a success (2xx). */
  readonly isSuccess: boolean;
  /** The value of a header, whatever its case; the first one of several. */
  header(name: string): string | undefined;
  /** The JSON text at each RFC 6901 pointer, in one pass over the body; undefined where there is nothing. `''` is the whole body. */
  json(pointers: string[]): (string | undefined)[];
  /** The value at a pointer; undefined where there is nothing. */
  value(pointer: string): any;
  /** The number of elements of the array at the pointer; undefined where there is no array. */
  count(pointer: string): number | undefined;
  /** The whole body, copied into the adapter. For small bodies. */
  bytes(): Uint8Array;
  /** The whole body, read as JSON. This costs many times what handing the response back costs: for small bodies. */
  parse(): any;
  /** Gives the memory back before the call ends. */
  release(): void;
  /** Itself if it is a success, else throws what its status means: see `AdapterError.fromResponse`. `what` says what was asked for. */
  success(what: string): this;
  /**
   * What the system says about a refusal, as one short line: `detail`, `error` or `message` of a JSON body, else the JSON or the plain text
   * itself. HTML is no answer for a person.
   */
  detail(): string | undefined;
}

/** Pairs for a query. Commas stay as they are, which lists are written with. */
export type Query = Record<string, string | number | boolean> | [string, string | number | boolean][];

/** What a request may have besides method and URL. */
export interface RequestOptions {
  query?: Query;
  /** A body that is written as JSON. */
  json?: unknown;
  body?: Uint8Array;
  headers?: Record<string, string>;
  /** A limit of its own for this request, within the host's. */
  timeoutMs?: number;
  /** The host may send it twice. If not said, GET, HEAD, PUT and DELETE may be. */
  onlyReads?: boolean;
  /**
   * The header (name, value) of an answer (429 or 503) that proves that nothing was done with the request: only such an answer makes the host
   * repeat a request that does not only read. If not said, any 429 does.
   */
  unprocessedIf?: [string, string];
}

/**
 * Requests, sent by the host: it adds the credentials, checks the address, keeps connections, retries and limits. What comes back is final,
 * and a response of any status is a success here. A URL is a path below the configured address, beginning with `/`, or an absolute one of
 * the same origin.
 */
export namespace http {
  function request(method: string, url: string, options?: RequestOptions): Response;
  function get(url: string, options?: RequestOptions): Response;
  function post(url: string, options?: RequestOptions): Response;
  function put(url: string, options?: RequestOptions): Response;
  function patch(url: string, options?: RequestOptions): Response;
  /** DELETE, which is a keyword. */
  function del(url: string, options?: RequestOptions): Response;
  /** A path with a query, encoded as RFC 3986 wants it. */
  function withQuery(path: string, query?: Query): string;
}

/** The one folder that the project granted. Paths are relative, with `/`. */
export namespace files {
  /** The names of the files in the folder, sorted, without sub-folders. */
  function list(): string[];
  /** Reads a whole file; the bytes stay with the host. */
  function read(path: string): Response;
  /**
   * Reads whole lines from `offset`, up to about `bytesMax` bytes (always at least one line), and says where the next line begins; undefined
   * at the end of the file.
   */
  function readLines(path: string, offset: number, bytesMax: number): { response: Response; next?: number };
  /** Appends to a file, which is created when there is none. */
  function append(path: string, data: Uint8Array | string): void;
  /** Puts a finished file in the place of another, atomically and durably. */
  function replace(from: string, to: string): void;
  /** Removes a file. One that is not there is no error. */
  function remove(path: string): void;
}

/** Words for the person who runs the sync. */
export namespace log {
  /** What only somebody who follows every step wants to know. */
  function trace(message: string): void;
  /** What helps to find a defect. */
  function debug(message: string): void;
  /** What was done. */
  function info(message: string): void;
  /** What a person may act on. */
  function warn(message: string): void;
  /** What went wrong and is told nowhere else. */
  function error(message: string): void;
}

/**
 * Small values that the host keeps: instances come and go, and any of them may be asked for anything.
 *
 * What is kept belongs to this very component and the address that it was granted. It may be gone at any time, a lasting value also between
 * two runs: it saves work, and is never the only place of anything. A key has up to 256 bytes, a value up to 8 MiB as JSON, all values of a
 * lifetime together 32 MiB; what is more is not kept.
 */
export namespace memo {
  /** `run`: as long as this command runs; all instances of this side see it. `lasting`: for later runs, too. */
  type Lifetime = 'run' | 'lasting';
  /** What is kept under a key; undefined if nothing is. */
  function get(lifetime: Lifetime, key: string): any;
  /** Keeps a value and returns the one that is kept: in a run the first one stays, a lasting one is replaced. */
  function put<T>(lifetime: Lifetime, key: string, value: T): T;
}

/** A setting. The host takes the first of: the environment variables in their order, `settings` in config.yml, the default. */
export interface Setting {
  name: string;
  /** One line for the user. */
  help: string;
  /** How the value is checked; `text` if not said. */
  type?: 'text' | 'boolean' | 'integer' | 'float' | 'json';
  required?: boolean;
  /** The value is a credential: the host keeps it and the adapter never sees it. */
  secret?: boolean;
  environment?: string[];
  default?: string | number | boolean;
}

/** A header with a place for a secret: `{ name: 'authorization', template: 'Token {token}' }`. */
export interface HeaderTemplate {
  name: string;
  template: string;
  /** Used when the secret begins with this text; empty fits all. */
  prefix?: string;
}

/** A credential that the host adds to each request to the configured origin. */
export type Credential =
  /** A header; the first template whose prefix fits is taken. */
  | { header: HeaderTemplate | HeaderTemplate[] }
  /** HTTP basic authentication from two settings. */
  | { basic: [userSetting: string, passwordSetting: string] }
  /** A query parameter with the value of a setting. */
  | { query: [parameter: string, setting: string] }
  /** A login, done by the host. */
  | { login: Login };

/** A login, done by the host before the first request that needs it: the adapter sees neither what is sent nor what is answered. */
export interface Login {
  /** The requests, in their order; mostly one. */
  steps: LoginStep[];
  /** What each request gets afterwards: names and templates (`{ authorization: 'Bearer {token}' }`). */
  headers?: Record<string, string>;
  /** After so many seconds the host renews it before the next request. If not said, when it is refused. */
  renewAfterS?: number;
  /** Statuses which say that it has expired, and that nothing was done with the request; `[401]` if not said. */
  expired?: number[];
  /** How it is renewed when the time is up. If not said, by the steps. */
  refresh?: LoginStep[];
}

/** A request of a login. */
export interface LoginStep {
  method: string;
  /** Below the configured address, beginning with `/`. No template. */
  path: string;
  /** Names and templates. */
  headers?: Record<string, string>;
  /** A JSON body, a template: `{password}` stands for the setting of that name, within quotation marks. */
  json?: string;
  /** A form as the body: names and templates. */
  form?: Record<string, string>;
  /** What its answer gives, by name: the text at a pointer, a header, a cookie that is set. */
  values?: Record<string, { json: string } | { header: string } | { cookie: string }>;
}

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
  /** How it is read: a resource is the mapping's `mapping:`, or its `name:`, the kind. Without it, it cannot be read as a source. */
  source?: 'mapping' | 'kind';
  /** It can be a destination. */
  destination?: boolean;
  /** It knows the kinds of its system. */
  schema?: boolean;
  /** Records to ask for in one page; 1000 if not said. */
  pageSize?: number;
  /** Rows to hand over in one write, at most; 1000 if not said. */
  writeBatchMax?: number;
  /** Writes that may be under way at a time; 1 if not said. */
  writeConcurrency?: number;
  /** Objects have ids of the system's own, by which references can be written. */
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
  /** The kind that a reference points to. */
  reference?: string;
  /** The closed set of values, empty where any value is good. */
  choices?: string[];
  /** What the system puts there when nothing is given. */
  default?: Json;
}

/** A kind of objects as the system's schema describes it. */
export interface Kind {
  name: string;
  /** The fields of the natural key, in order. Empty where the schema does not tell. */
  identifiers?: string[];
  fields?: Field[];
  /** Further kinds that a reference may name and be given an object of this kind. */
  standsFor?: string[];
  canCreate?: boolean;
  canUpdate?: boolean;
  canDelete?: boolean;
}

/** What to read. */
export class LoadRequest {
  constructor(request: Partial<LoadRequest> & { resource: string });
  /** The resource (`dcim.devices`), or the kind, as the manifest's `source` says. */
  resource: string;
  /** The dotted paths that the mapping reads. The adapter may return more; `id` is always welcome. */
  fields: string[];
  /** The kind's fields as the model has them (name, is-reference), when a destination is read back. */
  model: [string, boolean][];
  pageSize: number;
  /** The `next` of the page before; undefined for the first page. */
  cursor?: any;
  /**
   * What an earlier load returned as watermark: only records that changed since are wanted. An adapter that cannot tell throws
   * `AdapterError.unsupported`. Undefined: everything.
   */
  since?: string;
  /** The top-level names of the fields that the mapping reads (`site.slug` is `site`), each once, in order. */
  topLevelFields(): string[];
}

/** What a page says besides its records. */
export interface PageOptions {
  /** Where to go on: any value that can be written as JSON. Undefined on the last page. */
  next?: Json;
  /** What to hand over as `since` next time; by the clock of the system, from before the load began. Read on the first page. */
  watermark?: string;
  /** On the first page of a load with `since`: ids of the objects deleted since then, where the system tells. */
  deleted?: string[];
  /** On the first page: the objects that the resource has, where the system tells. */
  total?: number;
}

/** A page of records. */
export class Page {
  /**
   * The records are the array (or the values of the object) at the pointer of the response's JSON. They stay with the host: by far the
   * fastest. `projection` says where fields lie that are not at their own path: [dotted path that was asked for, pointer within the record].
   */
  static document(response: Response, pointer: string, options?: PageOptions & { projection?: [string, string][] }): Page;
  /** The records are the lines of the response, one JSON object each. */
  static lines(response: Response, options?: PageOptions): Page;
  /** The adapter made the records: anything that can be written as JSON objects. */
  static records(records: Iterable<unknown>, options?: PageOptions): Page;
  /** No records. */
  static empty(options?: PageOptions): Page;
  readonly payload: unknown;
  next?: Json;
  watermark?: string;
  deleted?: string[];
  total?: number;
}

/** A row of a write. */
export interface Row {
  /** The natural key: identifier to value. */
  key: Record<string, any>;
  /** The system's own id of the object, when the host knows it. */
  id?: string;
  /**
   * All set fields on create, the changed ones on update (null = clear), none on delete. A reference is
   * `{"kind": "…", "key": {…}, "id": "…"}`.
   */
  fields: Record<string, any>;
}

/** What became of a row. */
export type Outcome =
  | { tag: 'written' | 'unchanged'; id?: string }
  | { tag: 'staged' }
  | { tag: 'failed'; error: AdapterError };

export const Outcome: {
  /** It is done; the id that the system gave, if it has ids. */
  written(id?: string | number | null): Outcome;
  /** It is done once `commit` succeeds. */
  staged(): Outcome;
  /** What was wanted is there already: nothing was sent. */
  unchanged(id?: string | number | null): Outcome;
  /** This row was refused; others are not affected. */
  failed(error: AdapterError): Outcome;
};

/** Rows of one kind and one operation. */
export class WriteRequest {
  constructor(request: object);
  kind: string;
  /** The mapping's `mapping:`, for systems that are addressed by it. */
  resource?: string;
  operation: 'create' | 'update' | 'delete';
  /** The fields of the natural key, in order. */
  identifiers: string[];
  /** The fields that are references. */
  references: string[];
  count: number;
  /** The rows, parsed one at a time. */
  rows(): Iterable<Row>;
  /**
   * Writes row by row. An `AdapterError` that `write` throws is that row's failure, and so is anything else, as `internal`: what became of
   * the rows before it is not lost.
   */
  outcomes(write: (row: Row) => Outcome): Outcome[];
}

/** A run that is about to write. */
export interface Run {
  /** The run's id, as in the cache. */
  id: string;
  /** The project's `name`. */
  sync: string;
  /** The `name` of the project's source. */
  source: string;
  /** What each kind gets, in rows. */
  changes: { kind: string; creates: number; updates: number; deletes: number }[];
}

/** What became of a run, in rows. */
export interface RunResult {
  created: number;
  updated: number;
  deleted: number;
  unchanged: number;
  failed: number;
  skipped: number;
}

/**
 * An adapter: what it is, and how its system is read and written. The module's default export is its class.
 *
 * The host makes an instance with `configure` and may make several; any of them may be asked for any page. So nothing that a later call needs
 * may be kept in `this`: state travels in the cursor, or is kept by the host (`memo`). All calls are synchronous.
 */
export class Adapter {
  /** The settings of config.yml without the secrets, as `configure` got them. */
  settings: Record<string, any>;
  /** Describes the adapter. No network, no files, no settings: this is the first thing the host asks. */
  static manifest(): Manifest;
  /** Takes the settings, without the secrets, and makes the adapter. By itself it keeps them as `this.settings`. */
  static configure(settings: Record<string, any>): Adapter;
  /** The kinds named, or all when `names` is empty; an unknown name is left out. Only called when the manifest says `schema`. */
  kinds(names: string[]): Kind[];
  /** Reads one page. Nothing is kept between calls. */
  load(request: LoadRequest): Page;
  /**
   * Called once before the first write of a run, also when there is nothing to write: the place to clear away what an interrupted run left,
   * and to find out what would be refused. The text, if there is one, is told to the user.
   */
  begin(run: Run): string | void;
  /** Writes a batch of rows of one kind and one operation, and answers one outcome a row, in their order (`request.outcomes` helps). */
  write(request: WriteRequest): Outcome[];
  /** Makes the rows of these kinds durable that were answered as staged. An adapter that writes at once has nothing to do here. */
  commit(kinds: string[]): void;
  /** Called once after the last commit of a run that came to its end, also when rows were refused. */
  finish(run: Run, result: RunResult): string | void;
}
