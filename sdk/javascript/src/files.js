// The one folder that the project granted. Paths are relative, with `/`; they cannot lead out of the folder.

import { AdapterError } from './errors.js';
import { HostError, currentHost } from './host.js';
import { Response } from './http.js';
import { encode } from './text.js';

function ask(path, call) {
  try {
    return call();
  } catch (error) {
    throw error instanceof HostError ? failed(path, error) : error;
  }
}

// An error of the operating system is `remote`: the folder is the system here.
function failed(path, { tag, val }) {
  switch (tag) {
    case 'denied':
      return AdapterError.config(val);
    case 'not-found':
      return AdapterError.notFound(`there is no file \`${path}\``);
    case 'too-large':
      return AdapterError.config(`\`${path}\` is larger than the limit of ${val} bytes`);
    default:
      return AdapterError.remote(`\`${path}\`: ${val}`);
  }
}

const bytesOf = (data) => (typeof data === 'string' ? encode(data) : data);

export const list = () => ask('.', () => currentHost().list());
export const read = (path) => ask(path, () => new Response(currentHost().read(path)));
export const append = (path, data) => ask(path, () => currentHost().append(path, bytesOf(data)));
export const replace = (from, to) => ask(from, () => currentHost().replace(from, to));
export const remove = (path) => ask(path, () => currentHost().remove(path));

export function readLines(path, offset, bytesMax) {
  const [raw, next] = ask(path, () => currentHost().readLines(path, offset, bytesMax));
  return { response: new Response(raw), next };
}
