import { describe, expect, it } from "vitest";

import { ACK_EVERY_BYTES, Backoff, closeKind, INPUT_QUEUE_BYTES, INPUT_WINDOW_BYTES, Intake, Outbox, streamUrl } from "../src/terminal/flow";
import type { OutputFrame } from "../src/terminal/frames";

const frame = (offset: number, length: number, segment = 1): OutputFrame => ({
  stream: 1,
  position: { segment, offset },
  payload: new Uint8Array(length),
});

describe("intake", () => {
  it("acknowledges totals: every 32 KiB, and when all that came is shown", () => {
    const intake = new Intake();
    for (let place = 1; place <= 40; place += 1) expect(intake.take(frame(place * 1024, 1024))).toBe(true);
    const acks = Array.from({ length: 40 }, () => intake.consume(1024)).filter((total) => total !== null);
    expect(acks).toEqual([ACK_EVERY_BYTES, 40 * 1024]);
  });

  it("never acknowledges the same total twice", () => {
    const intake = new Intake();
    intake.take(frame(10, 10));
    expect(intake.consume(10)).toBe(10);
    expect(intake.consume(0)).toBeNull();
  });

  it("takes nothing twice after a break, and nothing is left out", () => {
    const intake = new Intake();
    intake.take(frame(100, 50));
    intake.take(frame(40, 20, 2));
    intake.reconnected();
    expect(intake.take(frame(100, 50))).toBe(false);
    expect(intake.take(frame(40, 20, 2))).toBe(false);
    expect(intake.take(frame(60, 20, 2))).toBe(true);
    expect(intake.position).toEqual({ segment: 2, offset: 60 });
  });

  it("counts from zero on a new connection, as the server does", () => {
    const intake = new Intake();
    intake.take(frame(100, 100));
    intake.consume(100);
    intake.reconnected();
    intake.take(frame(130, 30));
    expect(intake.consume(30)).toBe(30);
  });
});

describe("outbox", () => {
  it("keeps at most 256 KiB under way, then goes on as the program takes it, in order", () => {
    const sent: number[] = [];
    const outbox = new Outbox((piece) => sent.push(...piece));
    const paste = Uint8Array.from({ length: INPUT_WINDOW_BYTES * 2 }, (_, place) => place % 251);
    expect(outbox.put(paste)).toBe(true);
    expect(sent.length).toBe(INPUT_WINDOW_BYTES);
    outbox.tookTotal(INPUT_WINDOW_BYTES);
    expect(sent.length).toBe(paste.length);
    expect(sent.every((value, place) => value === paste[place])).toBe(true);
  });

  it("refuses what would pile up without end", () => {
    const outbox = new Outbox(() => undefined);
    expect(outbox.put(new Uint8Array(INPUT_QUEUE_BYTES + 1))).toBe(false);
  });

  it("forgets what waited when the connection broke: typed text is never sent twice", () => {
    const sent: number[] = [];
    const outbox = new Outbox((piece) => sent.push(piece.length));
    outbox.put(new Uint8Array(INPUT_WINDOW_BYTES * 2));
    outbox.reconnected();
    sent.length = 0;
    outbox.put(new Uint8Array(3));
    expect(sent).toEqual([3]);
  });
});

describe("back-off", () => {
  it("doubles to eight seconds, and starts over after success", () => {
    const backoff = new Backoff(() => 0);
    expect(Array.from({ length: 8 }, () => backoff.next())).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    backoff.reset();
    expect(backoff.next()).toBe(250);
  });
});

describe("stream addresses", () => {
  const base = { rows: 40, columns: 120 };

  it("ask for a replay first and go on from the last place after a break", () => {
    const first = new URL(streamUrl("https://berth.example", { path: "/ws/terminals/ab?mode=attach", from: null, ...base }));
    expect(first.protocol).toBe("wss:");
    expect(Object.fromEntries(first.searchParams)).toEqual({ mode: "attach", kind: "browser", rows: "40", cols: "120", from: "replay" });
    const again = new URL(streamUrl("http://127.0.0.1:8000", { path: "/ws/terminals/ab?tail=5", from: { segment: 3, offset: 77 }, ...base }));
    expect(again.protocol).toBe("ws:");
    expect(again.searchParams.get("from")).toBe("3.77");
    expect(again.searchParams.has("tail")).toBe(false);
  });

  it("leave a tail as the server asked for it", () => {
    const url = new URL(streamUrl("http://x", { path: "/ws/terminals/ab?tail=5", from: null, ...base }));
    expect(url.searchParams.has("from")).toBe(false);
  });
});

describe("close codes", () => {
  it("say whether to try again", () => {
    expect([1006, 1001, 1011, 4408].map(closeKind)).toEqual(["retry", "retry", "retry", "retry"]);
    expect([4000, 4401, 4403, 4404, 4409, 4410, 4413, 4429].map(closeKind)).not.toContain("retry");
  });
});
