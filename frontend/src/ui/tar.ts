/** A tar archive of one file, for what takes archives only. Nothing is read: it is a Blob around the file. */

const BLOCK = 512;
const NAME_BYTES = 100;
const OCTAL_LIMIT = 8 ** 11;

export function tarOf(file: File): Blob {
  const name = new TextEncoder().encode(file.name);
  const mtime = Math.max(0, Math.floor(file.lastModified / 1000));
  const parts: BlobPart[] = [];
  if (name.length > NAME_BYTES) {
    const records = paxRecord("path", name);
    parts.push(header(new TextEncoder().encode("pax"), records.length, "x", mtime), records, padding(records.length));
  }
  parts.push(header(name.slice(0, NAME_BYTES), file.size, "0", mtime), file, padding(file.size), new Uint8Array(2 * BLOCK));
  return new Blob(parts);
}

function padding(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

/** `<length> key=value\n`; the length counts its own digits. */
function paxRecord(key: string, value: Uint8Array): Uint8Array<ArrayBuffer> {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  const found = new Uint8Array(length);
  const start = new TextEncoder().encode(`${String(length)} ${key}=`);
  found.set(start);
  found.set(value, start.length);
  found[length - 1] = 0x0a;
  return found;
}

function header(name: Uint8Array, size: number, kind: string, mtime: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (text: string, at: number): void => block.set(new TextEncoder().encode(text), at);
  const octal = (value: number, width: number): string => value.toString(8).padStart(width, "0");
  block.set(name);
  put(octal(0o644, 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  if (size < OCTAL_LIMIT) put(octal(size, 11), 124);
  else new DataView(block.buffer).setBigUint64(128, BigInt(size)); // the whole field in base 256
  if (size >= OCTAL_LIMIT) block[124] = 0x80;
  put(octal(mtime, 11), 136);
  put("        ", 148);
  put(kind, 156);
  put("ustar\u000000", 257);
  put(`${octal(
    block.reduce((sum, byte) => sum + byte, 0),
    6,
  )}\u0000`, 148);
  return block;
}
