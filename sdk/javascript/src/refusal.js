// Refusals of a system, in words that tell the user what to change.

import { AdapterError } from './errors.js';

export class System {
  constructor(name, { credential, address = 'url' } = {}) {
    this.name = name;
    this.credential = credential;
    this.address = address;
  }

  success(what, response) {
    if (response.isSuccess) return response;
    throw this.refuse(what, response);
  }

  refuse(what, response, said) {
    const { name, address } = this;
    const { status } = response;
    const words = said || response.detail();
    const quoted = words ? ` (${words})` : '';
    const location = response.header('location');
    const { kind, retryAfterMs } = AdapterError.fromResponse(what, response);
    const refusal = (message, as = kind) => new AdapterError(as, message, { httpStatus: status, retryAfterMs });
    if (status >= 300 && status < 400) {
      return refusal(`\`${address}\` is not the address of ${name}: it redirects${location ? ` to ${location}` : ''}`, 'config');
    }
    switch (kind) {
      case 'auth':
        return refusal(
          `${name} denies access to \`${what}\`${quoted}: ${this.#credential()} is missing, wrong or expired, or lacks the permission`,
        );
      case 'not-found':
        return refusal(`${name} has no \`${what}\`${quoted}`);
      case 'rate-limited':
        return refusal(`${name} asks for fewer requests${quoted}: set a lower \`max_concurrency\``);
      case 'remote':
        return refusal(`${name} failed on \`${what}\` with HTTP status ${status}${quoted}`);
      default:
        return refusal(`${name} rejects \`${what}\` with HTTP status ${status}${quoted}`);
    }
  }

  unexpected(what, response) {
    const { name, address } = this;
    const content = response.header('content-type');
    const found = content ? ` (${content})` : '';
    return AdapterError.remote(
      `the answer for \`${what}\` is not from ${name}${found}: check that \`${address}\` is the address of ${name}`,
    ).withStatus(response.status);
  }

  #credential() {
    return this.credential ? `\`${this.credential[0]}\` (${this.credential[1]})` : 'the credential';
  }
}
