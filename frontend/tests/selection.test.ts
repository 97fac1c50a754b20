import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import { startSelection } from "../src/ui/selection";

const post = vi.hoisted(() => vi.fn());
const ask = vi.hoisted(() => vi.fn());
const toast = vi.hoisted(() => vi.fn());
vi.mock("../src/ui/requests", () => ({ post }));
vi.mock("../src/ui/dialogs", async (original) => ({ ...(await original<typeof import("../src/ui/dialogs")>()), ask, toast }));

const UNDO = { path: "/containers/trash/undo/", label: "Undo", keys: ["3"] };
const PAGE = `
<div id="selected" data-path="/containers/selected/" hidden><span data-selected-count></span>
<button data-act="start"></button>
<button data-act="remove" data-title-one="Remove {names}?" data-title-many="Remove {n}?" data-body="It goes." data-stays="Stays: {names}." data-do="Remove" data-danger></button>
<button data-selected-clear></button></div>
<table><tr><th><input type="checkbox" data-pick-all></th></tr>
<tr><td><input type="checkbox" value="1" data-pick="web" data-can="stop"></td></tr>
<tr><td><input type="checkbox" value="2" data-pick="ferry" data-can="start remove"></td></tr>
<tr><td><input type="checkbox" value="3" data-pick="tug" data-can="start remove"></td></tr></table>`;

const one = <T extends HTMLElement>(selector: string): T => document.querySelector<T>(selector) as T;
const boxes = (): HTMLInputElement[] => [...document.querySelectorAll<HTMLInputElement>("[data-pick]")];
const picked = (): string[] => boxes().filter((box) => box.checked).map((box) => box.value);
const click = (node: HTMLElement, shiftKey = false): void => {
  node.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey }));
};
const done = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

beforeAll(() => startSelection());
beforeEach(() => {
  document.body.replaceChildren(...new DOMParser().parseFromString(PAGE, "text/html").body.childNodes);
});
afterEach(() => vi.clearAllMocks());

describe("the selection", () => {
  it("shows what can be done only while something is picked", () => {
    expect(one("#selected").hidden).toBe(true);
    click(boxes()[0] as HTMLElement);
    expect(one("#selected").hidden).toBe(false);
    expect(one<HTMLButtonElement>("[data-act=start]").disabled).toBe(true); // it runs
    expect(one<HTMLInputElement>("[data-pick-all]").indeterminate).toBe(true);
    click(one("[data-selected-clear]"));
    expect(one("#selected").hidden).toBe(true);
    expect(picked()).toEqual([]);
  });

  it("takes all by the box in the head, a range with Shift, and lets go with Escape", () => {
    click(one("[data-pick-all]"));
    expect(picked()).toEqual(["1", "2", "3"]);
    boxes()[0]?.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(picked()).toEqual([]);
    click(boxes()[0] as HTMLElement);
    click(boxes()[2] as HTMLElement, true);
    expect(picked()).toEqual(["1", "2", "3"]);
  });

  it("follows the rows: one that is gone is not picked any more", () => {
    click(boxes()[1] as HTMLElement);
    one("tr:nth-child(3)").remove();
    document.body.dispatchEvent(new Event("htmx:afterSettle"));
    expect(one("#selected").hidden).toBe(true);
  });

  it("asks once, naming what goes and what stays, and keeps what was refused", async () => {
    ask.mockResolvedValue(true);
    post.mockResolvedValue({ ok: true, body: { said: "Removed: tug.", refused: [{ key: "2", name: "ferry", why: "It runs." }], undo: UNDO } });
    click(one("[data-pick-all]"));
    click(one("[data-act=remove]"));
    await done();
    expect(ask).toHaveBeenCalledExactlyOnceWith({ title: "Remove 2?", body: "ferry, tug\n\nIt goes.\n\nStays: web.", action: "Remove", danger: true });
    expect(post).toHaveBeenCalledExactlyOnceWith("/containers/selected/", [["action", "remove"], ["key", "2"], ["key", "3"]]);
    expect(toast.mock.calls).toEqual([["Removed: tug.", "success", UNDO], ["ferry: It runs.", "error"]]);
    expect(picked()).toEqual(["2"]);
    expect(one<HTMLButtonElement>("[data-act=remove]").disabled).toBe(false);
  });

  it("does nothing without a yes, and asks nothing about a start", async () => {
    ask.mockResolvedValue(false);
    post.mockResolvedValue({ ok: false, message: "Berth does not answer." });
    click(boxes()[1] as HTMLElement);
    click(one("[data-act=remove]"));
    await done();
    expect(post).not.toHaveBeenCalled();
    click(one("[data-act=start]"));
    await done();
    expect(toast).toHaveBeenCalledExactlyOnceWith("Berth does not answer.", "error");
    expect(picked()).toEqual(["2"]);
  });
});
