// UTF-8. QuickJS has neither TextEncoder nor TextDecoder.

/** Returns the bytes of a text. A half of a surrogate pair becomes U+FFFD, as with TextEncoder. */
export function encode(text) {
  const bytes = new Uint8Array(text.length * 3);
  let end = 0;
  for (let at = 0; at < text.length; at++) {
    let code = text.charCodeAt(at);
    if (code < 0x80) {
      bytes[end++] = code;
      continue;
    }
    if (code < 0x800) {
      bytes[end++] = 0xc0 | (code >> 6);
      bytes[end++] = 0x80 | (code & 0x3f);
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const low = code < 0xdc00 ? text.charCodeAt(at + 1) : NaN;
      if (low >= 0xdc00 && low < 0xe000) {
        at++;
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
        bytes[end++] = 0xf0 | (code >> 18);
        bytes[end++] = 0x80 | ((code >> 12) & 0x3f);
        bytes[end++] = 0x80 | ((code >> 6) & 0x3f);
        bytes[end++] = 0x80 | (code & 0x3f);
        continue;
      }
      code = 0xfffd;
    }
    bytes[end++] = 0xe0 | (code >> 12);
    bytes[end++] = 0x80 | ((code >> 6) & 0x3f);
    bytes[end++] = 0x80 | (code & 0x3f);
  }
  return bytes.slice(0, end);
}

/** Returns the text of bytes; undefined when they are not UTF-8. */
export function decode(bytes) {
  const pieces = [];
  let units = [];
  const more = (at) => (bytes[at] & 0xc0) === 0x80;
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at];
    let code, length, least;
    if (first < 0x80) [code, length, least] = [first, 1, 0];
    else if (first >= 0xc2 && first < 0xe0) [code, length, least] = [first & 0x1f, 2, 0x80];
    else if (first >= 0xe0 && first < 0xf0) [code, length, least] = [first & 0x0f, 3, 0x800];
    else if (first >= 0xf0 && first < 0xf5) [code, length, least] = [first & 0x07, 4, 0x10000];
    else return undefined;
    for (let next = 1; next < length; next++) {
      if (!more(at + next)) return undefined;
      code = (code << 6) | (bytes[at + next] & 0x3f);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return undefined;
    if (code >= 0x10000) units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    else units.push(code);
    at += length;
    // A call takes a limited number of arguments.
    if (units.length > 4096) {
      pieces.push(String.fromCharCode(...units));
      units = [];
    }
  }
  pieces.push(String.fromCharCode(...units));
  return pieces.join('');
}

/** Returns the lines of a text that are not empty. */
export function lines(text) {
  return text.split('\n').filter((line) => line.trim() !== '');
}
