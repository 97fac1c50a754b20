/** A file over a transfer's WebSocket: pieces in order, never more than a window on its way, both ends count. */

export const WINDOW_BYTES = 1024 * 1024;
export const PIECE_BYTES = 64 * 1024;

export interface Line {
  send(data: string | ArrayBuffer): void;
  close(): void;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
}

/** It did not arrive. The message is the server's own sentence, in the reader's language; "" when nothing was said. */
export class NotArrived extends Error {}

interface Heard {
  ready: boolean;
  taken: number;
  ended: number | null;
}

/** Resolves when all of it is there. `isWanted` is asked before each piece; once it says no, the upload is broken off. */
export async function sendFile(
  line: Line,
  file: Blob,
  onTaken: (bytes: number) => void,
  isWanted: () => boolean = () => true,
): Promise<void> {
  const heard: Heard = { ready: false, taken: 0, ended: null };
  let failed: NotArrived | null = null;
  let wake: () => void = () => undefined;
  line.onmessage = (event: MessageEvent<unknown>) => {
    const message = JSON.parse(String(event.data)) as Record<string, unknown>;
    const count = typeof message["bytes"] === "number" ? message["bytes"] : 0;
    if (message["t"] === "ready") heard.ready = true;
    else if (message["t"] === "taken") onTaken((heard.taken = Math.max(heard.taken, count)));
    else if (message["t"] === "end") heard.ended = count;
    else if (message["t"] === "error") failed = new NotArrived(String(message["message"]));
    wake();
  };
  line.onclose = () => {
    failed ??= new NotArrived();
    wake();
  };
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) {
      if (failed !== null) throw failed;
      if (!isWanted()) throw new NotArrived();
      await new Promise<void>((resolve) => (wake = resolve));
    }
    if (failed !== null) throw failed;
  };
  try {
    await until(() => heard.ready);
    let sent = 0;
    while (sent < file.size) {
      const piece = await file.slice(sent, sent + PIECE_BYTES).arrayBuffer();
      await until(() => sent + piece.byteLength - heard.taken <= WINDOW_BYTES);
      if (!isWanted()) throw new NotArrived();
      line.send(piece);
      sent += piece.byteLength;
    }
    line.send(JSON.stringify({ t: "eof", bytes: sent }));
    await until(() => heard.ended !== null);
    if (heard.ended !== sent) throw new NotArrived();
  } finally {
    line.onclose = null;
    line.close();
  }
}
