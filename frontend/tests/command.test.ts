import { describe, expect, it, vi } from "vitest";

import { History } from "../src/command/history";
import { parseCommandMessage, percent, plainText } from "../src/command/messages";
import { parseSaved } from "../src/dock/saved";
import { isCommandChord, isLeaveChord } from "../src/terminal/keys";
import { layersOf, totals } from "../src/ui/layers";
import { paced } from "../src/ui/paced";
import { ago, humanSize } from "../src/ui/words";

const ID = "ab".repeat(32);

describe("command frames", () => {
  it("are read with their types", () => {
    expect(parseCommandMessage('{"t":"progress","id":"0e7e","status":"Downloading","current":3,"total":9}')).toEqual({
      t: "progress",
      id: "0e7e",
      status: "Downloading",
      current: 3,
      total: 9,
    });
    expect(parseCommandMessage('{"t":"screen","text":"CPU %"}')).toEqual({ t: "screen", text: "CPU %" });
    expect(parseCommandMessage('{"t":"exit"}')).toEqual({ t: "exit", code: 0 });
    expect(parseCommandMessage('{"t":"other"}')).toBeNull();
  });

  it("show output without escapes or control characters", () => {
    expect(plainText("\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07a\tb\x00\x08")).toBe("red\na\tb");
  });

  it("draw shares between 0 and 100", () => {
    expect([percent(5, 10), percent(20, 10), percent(-1, 10), percent(1, 0)]).toEqual([50, 100, 0, 0]);
  });
});

describe("history", () => {
  it("goes back and forth and keeps a line once", () => {
    const kept = new Map<string, string>();
    const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
    const history = new History(storage);
    for (const line of ["docker ps", "docker images", "docker ps"]) history.add(line);
    expect([history.previous(), history.previous(), history.previous()]).toEqual(["docker ps", "docker images", null]);
    expect([history.next(), history.next()]).toEqual(["docker ps", ""]);
    expect(new History(storage).previous()).toBe("docker ps");
  });
});

describe("the saved dock", () => {
  it("survives nonsense", () => {
    for (const json of [null, "", "7", "null", "{", "[]"]) expect(() => parseSaved(json)).not.toThrow();
    expect(parseSaved('{"terminals":["../x",7,null],"height":1e9}')).toMatchObject({ terminals: [], height: 4000 });
  });

  it("keeps each terminal once", () => {
    const terminals = [ID, `exec:${ID}`, ID];
    expect(parseSaved(JSON.stringify({ terminals, active: ID }))?.terminals).toEqual([ID, `exec:${ID}`]);
  });
});

describe("keys", () => {
  const chord = (key: string, held: string): KeyboardEvent =>
    ({ key, ctrlKey: held.includes("c"), altKey: held.includes("a"), shiftKey: held.includes("s"), metaKey: held.includes("m") }) as KeyboardEvent;

  it("leave a terminal by Ctrl-Alt-Home alone", () => {
    expect(isLeaveChord(chord("Home", "ca"))).toBe(true);
    for (const other of [chord("Home", "c"), chord("Home", "cas"), chord("k", "ca"), chord("Escape", "")]) expect(isLeaveChord(other)).toBe(false);
  });

  it("open the command bar by Ctrl-K, but never from inside a terminal", () => {
    const terminal = document.createElement("div");
    terminal.className = "xterm";
    const inside = document.createElement("textarea");
    terminal.append(inside);
    expect(isCommandChord(chord("k", "c"), document.body)).toBe(true);
    expect(isCommandChord(chord("k", "c"), inside)).toBe(false);
    expect(isCommandChord(chord("k", ""), document.body)).toBe(false);
  });
});

describe("pull progress", () => {
  it("sums bytes, a finished layer as whole", () => {
    const layers = layersOf({
      layers: [
        { id: "a", status: "Pull complete", current: 0, total: 10 },
        { id: "b", status: "Downloading", current: 5, total: 30 },
        { nonsense: true },
      ],
    });
    expect(totals(layers)).toEqual({ current: 15, total: 40 });
    expect(layersOf(null)).toEqual([]);
  });
});

describe("pacing", () => {
  it("acts at once, then seldom, and never forgets the last call", () => {
    vi.useFakeTimers();
    const seen: string[] = [];
    const call = paced((key) => seen.push(key), 600);
    for (let count = 0; count < 5; count += 1) call("jobs");
    call("images");
    expect(seen).toEqual(["jobs", "images"]);
    vi.advanceTimersByTime(599);
    expect(seen).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(seen).toEqual(["jobs", "images", "jobs"]);
    vi.advanceTimersByTime(5000);
    expect(seen).toHaveLength(3);
    vi.useRealTimers();
  });
});

describe("words", () => {
  it("print sizes in Docker's units", () => {
    expect([0, 999, 1000, 188_000_000, 1_234_567_890].map(humanSize)).toEqual(["0B", "999B", "1kB", "188MB", "1.235GB"]);
  });

  it("tell times in the page's language", () => {
    const now = new Date("2026-11-24T12:00:00Z");
    expect(ago(new Date("2026-11-24T09:00:00Z"), now, "en")).toBe("3 hours ago");
    expect(ago(new Date("2026-11-03T12:00:00Z"), now, "ko")).toBe("3주 전");
  });
});
