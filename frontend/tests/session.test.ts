import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { encodeOutput, type OutputFrame } from "../src/terminal/frames";
import { Session, type Sink, type State } from "../src/terminal/session";

/** The browser's side of a socket, driven by the test. */
class Wire {
  static all: Wire[] = [];
  readyState = 1;
  binaryType = "";
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly sent: (string | Uint8Array)[] = [];
  constructor(readonly url: string) {
    Wire.all.push(this);
  }
  send(data: string | Uint8Array): void {
    this.sent.push(data);
  }
  close(): void {
    this.readyState = 3;
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  output(offset: number, text: string, segment = 1): void {
    const payload = new TextEncoder().encode(text);
    this.onmessage?.({ data: encodeOutput({ stream: 1, position: { segment, offset }, payload }) });
  }
  end(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
  get json(): unknown[] {
    return this.sent.filter((item) => typeof item === "string").map((item): unknown => JSON.parse(item));
  }
  get typed(): string {
    return this.sent.filter((item) => typeof item !== "string").map((item) => new TextDecoder().decode(item)).join("");
  }
}

/** A screen that shows what waits only when told, as a busy browser does. */
class Screen implements Sink {
  shown = "";
  private waiting: (() => void)[] = [];
  write(frame: OutputFrame, consumed: () => void): void {
    this.waiting.push(() => {
      this.shown += new TextDecoder().decode(frame.payload);
      consumed();
    });
  }
  replaySize(rows: number, columns: number): void {
    this.waiting.push(() => (this.shown += `[${rows}x${columns}]`));
  }
  skipped(bytes: number): void {
    this.waiting.push(() => (this.shown += `[skipped ${bytes}]`));
  }
  whenShown(then: () => void): void {
    this.waiting.push(then);
  }
  catchUp(): void {
    for (const act of this.waiting.splice(0)) act();
  }
}

const HELLO = { t: "hello", container: "ab", tty: true, write: true, state: "running", name: "calm", image: "ubuntu" };

function begin(): { session: Session; screen: Screen; states: string[]; wire: () => Wire } {
  const screen = new Screen();
  const states: string[] = [];
  const session = new Session({
    path: "/ws/terminals/ab?mode=attach",
    origin: "http://berth",
    sink: screen,
    size: () => ({ rows: 30, columns: 100 }),
    onState: (state: State) => states.push(state.name),
    connect: (url) => new Wire(url) as unknown as WebSocket,
  });
  session.open();
  return { session, screen, states, wire: () => Wire.all[Wire.all.length - 1] as Wire };
}

beforeEach(() => {
  Wire.all = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a replay", () => {
  it("cannot type: nothing is sent before live is said and all before it is on the screen", () => {
    const { session, screen, wire } = begin();
    const keys = new TextEncoder().encode("\x1b[?1;2c");
    wire().say(HELLO);
    wire().output(10, "\x1b[c");
    expect(session.input(keys)).toBe(false);
    wire().say({ t: "live" });
    expect(session.input(keys)).toBe(false);
    screen.catchUp();
    expect(session.input(keys)).toBe(true);
    expect(wire().typed).toBe("\x1b[?1;2c");
  });

  it("is shown at the widths that it was written at, then the present size is told once", () => {
    const { screen, wire } = begin();
    wire().say(HELLO);
    wire().output(1, "a");
    wire().say({ t: "resize", rows: 24, cols: 80 });
    wire().output(2, "b");
    wire().say({ t: "live" });
    screen.catchUp();
    expect(screen.shown).toBe("a[24x80]b");
    expect(wire().json).toContainEqual({ t: "resize", rows: 30, cols: 100 });
  });
});

describe("a broken connection", () => {
  it("goes on where it stopped, with nothing lost and nothing twice", () => {
    const { screen, states, wire } = begin();
    wire().say(HELLO);
    wire().output(5, "one ");
    wire().say({ t: "live" });
    screen.catchUp();
    wire().end(1006);
    screen.catchUp();
    expect(states.at(-1)).toBe("reconnecting");
    vi.advanceTimersByTime(400);
    expect(new URL(wire().url).searchParams.get("from")).toBe("1.5");
    wire().say(HELLO);
    wire().output(5, "one ");
    wire().output(9, "two");
    wire().say({ t: "live" });
    screen.catchUp();
    expect(screen.shown).toBe("one two");
    expect(states.at(-1)).toBe("live");
  });

  it("does not acknowledge on the new connection what came on the old one", () => {
    const { screen, wire } = begin();
    wire().say(HELLO);
    wire().output(5, "one ");
    wire().end(1006);
    vi.advanceTimersByTime(0);
    screen.catchUp();
    vi.advanceTimersByTime(400);
    screen.catchUp();
    expect(Wire.all).toHaveLength(2);
    expect(wire().json).toEqual([]);
  });

  it("starts over from a replay when its place is no longer in the log", () => {
    const { screen, wire } = begin();
    wire().say(HELLO);
    wire().output(5, "one ");
    screen.catchUp();
    wire().end(4410);
    screen.catchUp();
    vi.advanceTimersByTime(400);
    expect(new URL(wire().url).searchParams.get("from")).toBe("replay");
  });
});

describe("an end", () => {
  it("by exit keeps the code and is not tried again", () => {
    const { session, screen, wire } = begin();
    wire().say(HELLO);
    wire().say({ t: "live" });
    wire().say({ t: "exit", code: 3, reason: "" });
    wire().end(4000);
    screen.catchUp();
    vi.advanceTimersByTime(60_000);
    expect(session.state).toEqual({ name: "exited", code: 3, reason: "" });
    expect(Wire.all).toHaveLength(1);
  });

  it("by detaching leaves the way back open", () => {
    const { session, screen, wire } = begin();
    wire().say(HELLO);
    wire().say({ t: "live" });
    screen.catchUp();
    session.detach();
    expect(wire().json).toContainEqual({ t: "detach" });
    wire().say({ t: "detached" });
    wire().end(4000);
    screen.catchUp();
    expect(session.state.name).toBe("detached");
  });

  it("by the guard says why", () => {
    const { session, screen, wire } = begin();
    wire().say({ t: "error", message: "This container is gone." });
    wire().end(4404);
    screen.catchUp();
    expect(session.state).toEqual({ name: "closed", kind: "gone", message: "This container is gone." });
  });

  it("by closing the view reports nothing more and opens nothing", () => {
    const { session, screen, states, wire } = begin();
    wire().say(HELLO);
    const before = states.length;
    session.close();
    wire().end(1006);
    screen.catchUp();
    vi.advanceTimersByTime(60_000);
    expect(states.length).toBe(before);
    expect(Wire.all).toHaveLength(1);
  });
});

describe("a watcher without the right to type", () => {
  it("sends no input", () => {
    const { session, screen, wire } = begin();
    wire().say({ ...HELLO, write: false });
    wire().say({ t: "live" });
    screen.catchUp();
    expect(session.input(new Uint8Array([3]))).toBe(false);
    expect(wire().typed).toBe("");
  });
});
