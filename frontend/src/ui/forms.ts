/** Small things of forms and pages: rows that can be added, copying, menus that close, theme at once. */

import { copyPlain } from "./clipboard";
import { toast } from "./dialogs";
import { say } from "./words";

export function startForms(): void {
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const add = event.target.closest<HTMLElement>("[data-add-row]");
    if (add) addRow(add);
    const remove = event.target.closest<HTMLElement>("[data-remove-row]");
    if (remove) removeRow(remove);
    const copy = event.target.closest<HTMLElement>("[data-copy]");
    if (copy) void copyPlain(copy.dataset["copy"] ?? "").then((done) => done && toast(say("copied"), "success"));
    closeMenus(event.target);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeMenus(null);
  });
  document.addEventListener("htmx:oobAfterSwap", markField);
}

/** The server says beside the line what is wrong with a field; the field says so too. */
function markField(event: Event): void {
  const { target } = (event as CustomEvent<{ target: Element }>).detail;
  const errors = document.getElementById(target.id); // the one that came in its place
  const field = errors?.closest(".field")?.querySelector("input");
  if (!errors || !field) return;
  if (errors.childElementCount > 0) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function closeMenus(target: Element | null): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details[data-menu][open]")) {
    const inside = target !== null && menu.contains(target);
    if (!inside || target.closest("a, button") !== null) menu.open = false;
  }
}

function addRow(button: HTMLElement): void {
  const list = document.getElementById(button.dataset["addRow"] ?? "");
  const template = list?.querySelector("template");
  if (!list || !template) return;
  list.append(template.content.cloneNode(true));
  list.querySelector<HTMLInputElement>(":scope > :last-child input")?.focus();
}

function removeRow(button: HTMLElement): void {
  const form = button.closest("form");
  button.closest("[data-row]")?.remove();
  form?.dispatchEvent(new Event("change", { bubbles: true }));
}
