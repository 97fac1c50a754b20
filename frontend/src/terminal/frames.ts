/**
 * The frames of /ws/terminals, pure. Output is binary: u8 stream | u32 BE segment | u64 BE offset | payload, where
 * (segment, offset) is the place in the container's log *after* this frame: ask again with it and nothing is lost
 * and nothing comes twice. Everything else is JSON text.
 */

export const HEADER_BYTES = 13;
export const MAX_PAYLOAD_BYTES = 32 * 1024;
export const MAX_INPUT_BYTES = 64 * 1024;

export interface Position {
  readonly segment: number;
  readonly offset: number;
}

export interface OutputFrame {
  readonly stream: 1 | 2;
  readonly position: Position;
  readonly payload: Uint8Array;
}

export class FrameError extends Error {}

export function decodeOutput(data: ArrayBuffer): OutputFrame {
  if (data.byteLength < HEADER_BYTES) throw new FrameError(`frame of ${data.byteLength} bytes has no header`);
  const header = new DataView(data, 0, HEADER_BYTES);
  const stream = header.getUint8(0);
  if (stream !== 1 && stream !== 2) throw new FrameError(`unknown stream ${stream}`);
  const offset = header.getBigUint64(5);
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new FrameError("offset too large");
  return {
    stream,
    position: { segment: header.getUint32(1), offset: Number(offset) },
    payload: new Uint8Array(data, HEADER_BYTES),
  };
}

export function encodeOutput(frame: OutputFrame): ArrayBuffer {
  const bytes = new Uint8Array(HEADER_BYTES + frame.payload.length);
  const header = new DataView(bytes.buffer);
  header.setUint8(0, frame.stream);
  header.setUint32(1, frame.position.segment);
  header.setBigUint64(5, BigInt(frame.position.offset));
  bytes.set(frame.payload, HEADER_BYTES);
  return bytes.buffer;
}

/** Negative when `a` lies before `b` in the log. */
export function comparePositions(a: Position, b: Position): number {
  return a.segment - b.segment || a.offset - b.offset;
}

export type ServerMessage =
  | { t: "hello"; container: string; tty: boolean; write: boolean; state: string; name: string; image: string; exec: string; title: string }
  | { t: "resize"; rows: number; cols: number }
  | { t: "live" }
  | { t: "skipped"; bytes: number }
  | { t: "taken"; bytes: number }
  | { t: "watching"; names: readonly string[] }
  | { t: "life"; endsAt: string; cause: string }
  | { t: "exit"; code: number | null; reason: string }
  | { t: "detached" }
  | { t: "notice"; kind: string; message: string }
  | { t: "error"; message: string };

type Fields = Record<string, unknown>;

const text = (fields: Fields, name: string): string => (typeof fields[name] === "string" ? fields[name] : "");
const texts = (fields: Fields, name: string): string[] => {
  const value: unknown = fields[name];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
};
const flag = (fields: Fields, name: string): boolean => fields[name] === true;
const count = (fields: Fields, name: string): number => {
  const value = fields[name];
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? Math.floor(value) : 0;
};

const readers: Record<string, (fields: Fields) => ServerMessage> = {
  hello: (f) => ({
    t: "hello",
    container: text(f, "container"),
    tty: flag(f, "tty"),
    write: flag(f, "write"),
    state: text(f, "state"),
    name: text(f, "name"),
    image: text(f, "image"),
    exec: text(f, "exec"),
    title: text(f, "title"),
  }),
  resize: (f) => ({ t: "resize", rows: count(f, "rows"), cols: count(f, "cols") }),
  live: () => ({ t: "live" }),
  taken: (f) => ({ t: "taken", bytes: count(f, "bytes") }),
  watching: (f) => ({ t: "watching", names: texts(f, "names") }),
  life: (f) => ({ t: "life", endsAt: text(f, "ends_at"), cause: text(f, "cause") }),
  skipped: (f) => ({ t: "skipped", bytes: count(f, "bytes") }),
  exit: (f) => ({ t: "exit", code: typeof f["code"] === "number" ? f["code"] : null, reason: text(f, "reason") }),
  detached: () => ({ t: "detached" }),
  notice: (f) => ({ t: "notice", kind: text(f, "kind"), message: text(f, "message") }),
  error: (f) => ({ t: "error", message: text(f, "message") }),
};

/** A known message, or null for one that a newer server may send. */
export function parseMessage(json: string): ServerMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new FrameError("not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new FrameError("not an object");
  const fields = value as Fields;
  return Object.hasOwn(readers, text(fields, "t")) ? (readers[text(fields, "t")]?.(fields) ?? null) : null;
}

/** Pieces of at most `limit` bytes, in order. */
export function* pieces(bytes: Uint8Array, limit = MAX_INPUT_BYTES / 4): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += limit) yield bytes.subarray(start, start + limit);
}
