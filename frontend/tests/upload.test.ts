import { describe, expect, it } from "vitest";

import { NotArrived, PIECE_BYTES, sendFile, WINDOW_BYTES, type Line } from "../src/ui/upload";

class Server implements Line {
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  readonly pieces: ArrayBuffer[] = [];
  readonly words: unknown[] = [];
  closed = false;
  heard: () => void = () => undefined;

  send(data: string | ArrayBuffer): void {
    if (typeof data === "string") this.words.push(JSON.parse(data));
    else this.pieces.push(data);
    this.heard();
  }

  close(): void {
    this.closed = true;
  }

  say(message: unknown): void {
    this.onmessage?.(new MessageEvent("message", { data: JSON.stringify(message) }));
  }

  get size(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

describe("sending a file", () => {
  it("keeps to the window and sends every byte in order", async () => {
    const content = new Uint8Array(3 * WINDOW_BYTES + 17).map((_, place) => place % 251);
    const server = new Server();
    const taken: number[] = [];
    const done = sendFile(server, new Blob([content]), (bytes) => taken.push(bytes));
    await settled();
    expect(server.pieces).toEqual([]); // nothing before the server is ready
    server.say({ t: "ready" });
    await settled();
    expect(server.size).toBe(WINDOW_BYTES);
    while (server.size < content.length) {
      server.say({ t: "taken", bytes: server.size });
      await settled();
      expect(server.pieces.every((piece) => piece.byteLength <= PIECE_BYTES)).toBe(true);
    }
    expect(server.words).toEqual([{ t: "eof", bytes: content.length }]);
    server.say({ t: "end", bytes: content.length });
    await done;
    expect(server.closed).toBe(true);
    expect(taken.at(-1)).toBe(3 * WINDOW_BYTES);
    expect(Buffer.concat(server.pieces.map((piece) => Buffer.from(piece))).equals(content)).toBe(true);
  });

  it("says why the server would not go on", async () => {
    const server = new Server();
    const done = sendFile(server, new Blob(["x"]), () => undefined);
    server.say({ t: "error", message: "The disk is full." });
    server.onclose?.(new CloseEvent("close", { code: 4507 }));
    await expect(done).rejects.toThrow(new NotArrived("The disk is full."));
    expect(server.closed).toBe(true);
  });

  it("ends when the connection does, and when nobody wants it any more", async () => {
    const broken = new Server();
    const lost = sendFile(broken, new Blob(["x"]), () => undefined);
    broken.onclose?.(new CloseEvent("close"));
    await expect(lost).rejects.toThrow(NotArrived);
    const left = new Server();
    const unwanted = sendFile(left, new Blob(["x"]), () => undefined, () => false);
    left.say({ t: "ready" });
    await expect(unwanted).rejects.toThrow(NotArrived);
    expect(left.pieces).toEqual([]);
  });

  it("is not fooled by a server that has fewer bytes", async () => {
    const server = new Server();
    const done = sendFile(server, new Blob(["xyz"]), () => undefined);
    server.say({ t: "ready" });
    await settled();
    server.say({ t: "end", bytes: 2 });
    await expect(done).rejects.toThrow(NotArrived);
  });
});
