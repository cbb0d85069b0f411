// A kind of the project and its place in the system.

import { AdapterError } from './errors.js';

export function peerId({ kind, key = {}, id }) {
  if (id === undefined || id === null) {
    throw AdapterError.notFound(`the object ${JSON.stringify(key)} of \`${kind}\`, to which it refers, is not in the system`);
  }
  return String(id);
}

export class TargetField {
  constructor({ name, path, peers = [], many = false, identifier = false }) {
    this.name = name;
    this.path = path;
    this.peers = peers;
    this.many = many;
    this.identifier = identifier;
  }

  get readPath() {
    return this.path ?? this.name;
  }

  get isReference() {
    return this.peers.length > 0;
  }

  splitPath() {
    const path = this.readPath;
    const at = path.indexOf('.');
    return at < 0 ? [path, undefined] : [path.slice(0, at), path.slice(at + 1)];
  }

  withPeers(value, peer = peerId) {
    if (!this.isReference || value === null) return value;
    return Array.isArray(value) ? value.map((each) => peer(each)) : peer(value);
  }
}

export class Target {
  constructor({ kind, resource, fields = [] }) {
    this.kind = kind;
    this.resource = resource;
    this.fields = fields.map((field) => new TargetField(field));
  }

  get resourceOrKind() {
    return this.resource ?? this.kind;
  }

  get identifiers() {
    return this.fields.filter((field) => field.identifier);
  }

  field(name) {
    return this.fields.find((field) => field.name === name);
  }

  knownField(name) {
    const found = this.field(name);
    if (!found) throw AdapterError.internal(`the target \`${this.kind}\` has no field \`${name}\``);
    return found;
  }

  fieldsAt(path) {
    return this.fields.filter((field) => field.readPath === path);
  }
}
