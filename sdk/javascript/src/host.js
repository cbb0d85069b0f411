// The abilities of an adapter: the real host in a component, a mock host (testing.js) natively. A host uses the contract's own terms; the
// modules beside this one turn them into the API of authors.

let host;

/** Sets the host. */
export function useHost(other) {
  host = other;
}

/** Returns the host. */
export function currentHost() {
  if (!host) throw new Error('there is no host: a test imports infrahub-sync-adapter/testing');
  return host;
}

/** An answer of the host in place of a response: the contract's case, and its value. */
export class HostError extends Error {
  constructor(tag, val) {
    super(`${tag}: ${val}`);
    this.tag = tag;
    this.val = val;
  }
}
