/** What is acknowledged, where to go on after a break, and how long to wait before trying: pure. */

import { comparePositions, pieces, type OutputFrame, type Position } from "./frames";

export const ACK_EVERY_BYTES = 32 * 1024;

/**
 * Counts one stream's bytes. The server sends at most 256 KiB beyond the last acknowledgement; we acknowledge what
 * the screen has really consumed, so a slow tab slows its own stream and nothing else (WS-07).
 */
export class Intake {
  position: Position | null = null;
  private received = 0;
  private consumed = 0;
  private acknowledged = 0;

  /** Start over from a replay: the place is no longer in the log. */
  forget(): void {
    this.position = null;
  }

  /** A new connection starts counting at zero; the place in the log stays. */
  reconnected(): void {
    this.received = this.consumed = this.acknowledged = 0;
  }

  /** False for a frame that was already taken before a break: it counts as consumed and must not be written. */
  take(frame: OutputFrame): boolean {
    this.received += frame.payload.length;
    if (this.position !== null && comparePositions(frame.position, this.position) <= 0) return false;
    this.position = frame.position;
    return true;
  }

  /** The total to acknowledge now, or null to wait for more. */
  consume(bytes: number): number | null {
    this.consumed += bytes;
    const due = this.consumed - this.acknowledged >= ACK_EVERY_BYTES || this.consumed >= this.received;
    if (!due || this.consumed === this.acknowledged) return null;
    this.acknowledged = this.consumed;
    return this.acknowledged;
  }
}

export const INPUT_WINDOW_BYTES = 256 * 1024;
export const INPUT_QUEUE_BYTES = 16 * 1024 * 1024;

/**
 * What was typed or pasted and waits for the program: at most 256 KiB are under way beyond what the server says was
 * taken, so that a paste of megabytes arrives whole at the pace of the program that reads it (WS-08).
 */
export class Outbox {
  private queue: Uint8Array[] = [];
  private waiting = 0;
  private sent = 0;
  private taken = 0;

  constructor(private readonly send: (piece: Uint8Array) => void) {}

  /** False when too much waits already: nothing of it is sent then. */
  put(bytes: Uint8Array): boolean {
    if (this.waiting + bytes.length > INPUT_QUEUE_BYTES) return false;
    for (const piece of pieces(bytes)) this.queue.push(new Uint8Array(piece));
    this.waiting += bytes.length;
    this.flush();
    return true;
  }

  tookTotal(bytes: number): void {
    this.taken = Math.max(this.taken, bytes);
    this.flush();
  }

  /** What was under way when a connection broke may or may not have arrived: it is not sent twice. */
  reconnected(): void {
    this.queue = [];
    this.waiting = this.sent = this.taken = 0;
  }

  private flush(): void {
    while (this.sent - this.taken < INPUT_WINDOW_BYTES) {
      const piece = this.queue.shift();
      if (piece === undefined) return;
      this.waiting -= piece.length;
      this.sent += piece.length;
      this.send(piece);
    }
  }
}

/** 250 ms, doubling to 8 s, with up to a quarter of jitter so that many viewers do not come back at once. */
export class Backoff {
  private attempt = 0;

  constructor(private readonly random: () => number = Math.random) {}

  next(): number {
    const delay = Math.min(250 * 2 ** this.attempt, 8000);
    this.attempt += 1;
    return Math.round(delay * (1 + this.random() / 4));
  }

  reset(): void {
    this.attempt = 0;
  }
}

export interface StreamRequest {
  readonly path: string; // "/ws/terminals/<id>", with or without a query
  readonly rows: number;
  readonly columns: number;
  readonly from: Position | null; // null: what the path says, else a replay
}

export function streamUrl(origin: string, request: StreamRequest): string {
  const url = new URL(request.path, origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("kind", "browser");
  url.searchParams.set("rows", String(request.rows));
  url.searchParams.set("cols", String(request.columns));
  if (request.from !== null) {
    url.searchParams.set("from", `${request.from.segment}.${request.from.offset}`);
    url.searchParams.delete("tail");
  } else if (!url.searchParams.has("from") && !url.searchParams.has("tail")) {
    url.searchParams.set("from", "replay");
  }
  return url.toString();
}

export type CloseKind = "ended" | "signed-out" | "refused" | "gone" | "taken" | "too-big" | "too-many" | "log-gone" | "retry";

const CLOSE_KINDS: Record<number, CloseKind> = {
  4000: "ended",
  4401: "signed-out",
  4403: "refused",
  4404: "gone",
  4409: "taken",
  4410: "log-gone",
  4413: "too-big",
  4429: "too-many",
};

/** Everything not named is a broken connection: try again. */
export function closeKind(code: number): CloseKind {
  return CLOSE_KINDS[code] ?? "retry";
}
