// Where the abilities of an adapter come from: the real host in a component, a mock host (testing.js) natively. A host speaks the contract's
// own terms; the modules beside this one turn them into what authors use.

let host;

/** Sets the host that everything asks from now on. */
export function useHost(other) {
  host = other;
}

/** The host. */
export function currentHost() {
  if (!host) throw new Error('there is no host: a test imports infrahub-sync-adapter/testing');
  return host;
}

/** What the host answers instead of a response: the contract's case, and what comes with it. */
export class HostError extends Error {
  constructor(tag, val) {
    super(`${tag}: ${val}`);
    this.tag = tag;
    this.val = val;
  }
}
