import { describe, expect, it } from "vitest";

import { pagePath, parseTarget, streamPath, targetName, targetOfPath } from "../src/terminal/target";

const ID = "a1".repeat(32);

describe("what a terminal shows", () => {
  it.each([
    [ID, "container", `/ws/terminals/${ID}?mode=attach`, `/terminals/${ID}/`],
    [`exec:${ID}`, "exec", `/ws/execs/${ID}?mode=attach`, `/terminals/exec/${ID}/`],
  ])("knows %s", (name, kind, path, page) => {
    const target = parseTarget(name);
    expect(target).toEqual({ kind, id: ID });
    if (target === null) return;
    expect(targetName(target)).toBe(name);
    expect(streamPath(target, "mode=attach")).toBe(path);
    expect(targetOfPath(path)).toEqual(target);
    expect(pagePath(target)).toBe(page);
  });

  it.each(["", "exec:", "exec", ID.slice(1), `${ID}0`, `run:${ID}`, ID.toUpperCase()])("refuses %j as a name", (name) => {
    expect(parseTarget(name)).toBeNull();
  });

  it.each([
    `//elsewhere/ws/terminals/${ID}`,
    `https://elsewhere/ws/execs/${ID}`,
    "/ws/terminals/short",
    `/ws/terminals/${ID}/../command`,
    `/ws/execs/${ID}#x`,
    "/ws/command",
  ])("refuses %j as the address of a stream", (path) => {
    expect(targetOfPath(path)).toBeNull();
  });
});
