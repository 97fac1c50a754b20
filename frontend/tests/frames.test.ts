import { describe, expect, it } from "vitest";

import { comparePositions, decodeOutput, encodeOutput, FrameError, parseMessage, pieces } from "../src/terminal/frames";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe("output frames", () => {
  it("read as the server writes them: u8 stream, u32 BE segment, u64 BE offset, payload", () => {
    const wire = bytes(2, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 5, 0x68, 0x69);
    const frame = decodeOutput(wire.buffer as ArrayBuffer);
    expect(frame.stream).toBe(2);
    expect(frame.position).toEqual({ segment: 7, offset: 2 ** 32 + 5 });
    expect([...frame.payload]).toEqual([0x68, 0x69]);
  });

  it("come back whole for any position and payload", () => {
    let seed = 12345;
    const random = (): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31);
    for (let round = 0; round < 300; round += 1) {
      const payload = Uint8Array.from({ length: random() % 70 }, () => random() % 256);
      const position = { segment: random() % 2 ** 32, offset: random() * 4000 };
      const stream = random() % 2 === 0 ? 1 : 2;
      expect(decodeOutput(encodeOutput({ stream, position, payload }))).toEqual({ stream, position, payload });
    }
  });

  it("are refused without a whole header, with an unknown stream, or with an offset beyond exact numbers", () => {
    expect(() => decodeOutput(new ArrayBuffer(12))).toThrow(FrameError);
    expect(() => decodeOutput(bytes(3, ...Array<number>(12).fill(0)).buffer as ArrayBuffer)).toThrow(FrameError);
    expect(() => decodeOutput(bytes(1, 0, 0, 0, 1, ...Array<number>(8).fill(255)).buffer as ArrayBuffer)).toThrow(FrameError);
  });

  it("may have no payload", () => {
    expect(decodeOutput(encodeOutput({ stream: 1, position: { segment: 1, offset: 9 }, payload: bytes() })).payload.length).toBe(0);
  });
});

describe("positions", () => {
  it("order by segment, then by offset", () => {
    expect(comparePositions({ segment: 1, offset: 900 }, { segment: 2, offset: 0 })).toBeLessThan(0);
    expect(comparePositions({ segment: 2, offset: 5 }, { segment: 2, offset: 4 })).toBeGreaterThan(0);
    expect(comparePositions({ segment: 2, offset: 5 }, { segment: 2, offset: 5 })).toBe(0);
  });
});

describe("messages", () => {
  it("keep known fields with their types and drop the rest", () => {
    expect(parseMessage('{"t":"exit","code":137,"reason":"out of memory","x":1}')).toEqual({ t: "exit", code: 137, reason: "out of memory" });
    expect(parseMessage('{"t":"exit"}')).toEqual({ t: "exit", code: null, reason: "" });
    expect(parseMessage('{"t":"resize","rows":"9","cols":-3}')).toEqual({ t: "resize", rows: 0, cols: 0 });
    expect(parseMessage('{"t":"hello","tty":1,"write":true}')).toMatchObject({ tty: false, write: true, name: "" });
  });

  it("that list names keep those that are names", () => {
    expect(parseMessage('{"t":"watching","names":["a",7,null,"b"]}')).toEqual({ t: "watching", names: ["a", "b"] });
    expect(parseMessage('{"t":"watching","names":"a"}')).toEqual({ t: "watching", names: [] });
  });

  it("of a newer server are passed over", () => {
    expect(parseMessage('{"t":"brand-new"}')).toBeNull();
    expect(parseMessage('{"t":"constructor"}')).toBeNull();
    expect(parseMessage("{}")).toBeNull();
  });

  it("that are no objects are refused", () => {
    for (const json of ["[]", "null", "7", "{"]) expect(() => parseMessage(json)).toThrow(FrameError);
  });
});

describe("pieces", () => {
  it("keep every byte in order, none longer than the limit", () => {
    const whole = Uint8Array.from({ length: 100 }, (_, place) => place);
    const cut = [...pieces(whole, 33)];
    expect(cut.map((piece) => piece.length)).toEqual([33, 33, 33, 1]);
    expect(cut.flatMap((piece) => [...piece])).toEqual([...whole]);
    expect([...pieces(bytes())]).toEqual([]);
  });
});
