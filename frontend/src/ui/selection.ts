/**
 * Rows that are picked in a list, and what can be done with all of them at once. The boxes of the list are the only
 * state: a row that a live update takes away is not picked any more, one that it changes may allow something else.
 */

import { ask, toast, undoIn, type Undo } from "./dialogs";
import { byId } from "./dom";
import { post } from "./requests";
import { fill, say } from "./words";

/** Boxes that are the person's: a live update leaves them as they are. */
export const PICKS = "[data-pick], [data-pick-all]";

interface Refusal {
  readonly key: string;
  readonly name: string;
  readonly why: string;
}

let last: HTMLInputElement | null = null; // where a range begins

export function startSelection(): void {
  document.addEventListener("change", (event) => {
    if (!(event.target instanceof HTMLInputElement)) return;
    if (event.target.matches("[data-pick-all]")) for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.matches(PICKS)) draw();
  });
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.target instanceof HTMLInputElement && event.target.matches("[data-pick]")) pickRange(event.target, event.shiftKey);
    const button = event.target.closest<HTMLButtonElement>("#selected [data-act]");
    if (button !== null) void act(button);
    if (event.target.closest("[data-selected-clear]") !== null) clear();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !(event.target instanceof Element)) return;
    if (event.target.closest(`#selected, ${PICKS}`) !== null) clear();
  });
  for (const name of ["htmx:afterSettle", "berth:page"]) document.body.addEventListener(name, draw);
  draw();
}

function boxes(): HTMLInputElement[] {
  return [...document.querySelectorAll<HTMLInputElement>("[data-pick]")];
}

const nameOf = (box: HTMLInputElement): string => box.dataset["pick"] ?? "";
const can = (box: HTMLInputElement, what: string): boolean => (box.dataset["can"] ?? "").split(" ").includes(what);

/** With Shift: everything from the last one on. */
function pickRange(box: HTMLInputElement, isRange: boolean): void {
  const all = boxes();
  const [from, to] = [last === null ? -1 : all.indexOf(last), all.indexOf(box)];
  if (isRange && from >= 0) {
    for (const between of all.slice(Math.min(from, to), Math.max(from, to) + 1)) between.checked = box.checked;
    draw();
  }
  last = box;
}

function clear(): void {
  const hadFocus = byId("selected")?.contains(document.activeElement) ?? false;
  for (const box of boxes()) box.checked = false;
  draw();
  if (hadFocus) document.querySelector<HTMLElement>("[data-pick-all]")?.focus();
}

function draw(): void {
  const bar = byId("selected");
  if (bar === null) return;
  const all = boxes();
  const picked = all.filter((box) => box.checked);
  bar.hidden = picked.length === 0;
  const words = say("selected", { n: picked.length });
  const count = bar.querySelector("[data-selected-count]");
  if (count !== null && count.textContent !== words) count.textContent = words;
  for (const button of bar.querySelectorAll<HTMLButtonElement>("[data-act]")) {
    const what = button.dataset["act"] ?? "";
    button.disabled = bar.hasAttribute("aria-busy") || !picked.some((box) => can(box, what));
  }
  const whole = document.querySelector<HTMLInputElement>("[data-pick-all]");
  if (whole === null) return;
  whole.checked = picked.length > 0 && picked.length === all.length;
  whole.indeterminate = picked.length > 0 && picked.length < all.length;
}

async function act(button: HTMLButtonElement): Promise<void> {
  const bar = byId("selected");
  const what = button.dataset["act"] ?? "";
  const picked = boxes().filter((box) => box.checked);
  const meant = picked.filter((box) => can(box, what));
  const stays = picked.filter((box) => !can(box, what));
  if (bar === null || meant.length === 0 || !(await confirmed(button, meant, stays))) return;
  bar.setAttribute("aria-busy", "true");
  draw();
  const answer = await post(bar.dataset["path"] ?? "", [["action", what], ...meant.map((box) => ["key", box.value])]);
  bar.removeAttribute("aria-busy");
  if (answer.ok) tell(answer.body);
  else toast(answer.message, "error");
  draw();
}

/** What ends something is asked about first: it names all that goes, and what stays although it is picked. */
function confirmed(button: HTMLButtonElement, meant: HTMLInputElement[], stays: HTMLInputElement[]): Promise<boolean> {
  const { titleOne, titleMany, body = "", stays: staying = "", do: action = "", danger } = button.dataset;
  if (titleOne === undefined || titleMany === undefined) return Promise.resolve(true);
  const names = meant.map(nameOf).join(", ");
  const rest = stays.length > 0 && staying !== "" ? fill(staying, { names: stays.map(nameOf).join(", ") }) : "";
  return ask({
    title: fill(meant.length === 1 ? titleOne : titleMany, { names, n: meant.length }),
    body: [meant.length === 1 ? "" : names, body, rest].filter(Boolean).join("\n\n"),
    action,
    danger: danger !== undefined,
  });
}

/** What was done is picked no longer; what was refused stays picked, and says why. */
function tell(body: unknown): void {
  const { said, refused, undo } = parse(body);
  const kept = new Set(refused.map((one) => one.key));
  for (const box of boxes()) box.checked = box.checked && kept.has(box.value);
  if (said !== "") toast(said, "success", undo);
  if (refused.length > 0) toast(refused.map((one) => `${one.name}: ${one.why}`).join("\n"), "error");
}

function parse(body: unknown): { said: string; refused: Refusal[]; undo: Undo | null } {
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const listed: unknown[] = Array.isArray(fields["refused"]) ? fields["refused"] : [];
  const isRefusal = (one: unknown): one is Refusal => typeof (one as Refusal | null)?.why === "string";
  return { said: typeof fields["said"] === "string" ? fields["said"] : "", refused: listed.filter(isRefusal), undo: undoIn(fields["undo"]) };
}
