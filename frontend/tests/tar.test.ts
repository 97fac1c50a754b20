import { execFileSync } from "node:child_process";

import { describe, expect, it } from "vitest";

import { tarOf } from "../src/ui/tar";

async function listed(name: string, content: string): Promise<string[]> {
  const archive = tarOf(new File([content], name, { lastModified: 1_700_000_000_000 }));
  const input = Buffer.from(await archive.arrayBuffer());
  expect(input.length % 512).toBe(0);
  const said = execFileSync("tar", ["--list", "--verbose", "--quoting-style=literal", "--utc", "--file=-"], { input, encoding: "utf8" });
  const back = execFileSync("tar", ["--extract", "--to-stdout", "--file=-"], { input, encoding: "utf8" });
  expect(back).toBe(content);
  return said.trim().split(/\s+/);
}

describe("an archive of one file", () => {
  it("is what tar reads, with its size, time and name", async () => {
    expect(await listed("notes.txt", "some words\n")).toEqual(["-rw-r--r--", "0/0", "11", "2023-11-14", "22:13", "notes.txt"]);
  });

  it("keeps names of any length and in any language", async () => {
    const name = `${"한글 이름 ".repeat(8)}.txt`.replaceAll(" ", "_");
    expect((await listed(name, "x".repeat(1000))).at(-1)).toBe(name);
    expect((await listed("짧다", "")).at(-1)).toBe("짧다");
  });
});
