/** Questions and short notices. */

import { el, icon } from "./dom";
import { post } from "./requests";
import { say } from "./words";

export interface Question {
  readonly title: string;
  readonly body: string;
  readonly action: string;
  readonly danger?: boolean;
}

export function ask(question: Question): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = el("dialog", { class: "modal", "aria-labelledby": "question-title" });
    const answer = (yes: boolean): void => {
      dialog.remove();
      resolve(yes);
    };
    const yes = el(
      "button",
      { type: "button", class: question.danger ? "btn btn-error btn-sm" : "btn btn-primary btn-sm", click: () => answer(true) },
      question.action,
    );
    const no = el("button", { type: "button", class: "btn btn-ghost btn-sm", click: () => answer(false) }, say("cancel"));
    dialog.append(
      el(
        "div",
        { class: "modal-box" },
        el("h2", { class: "text-base font-semibold wrap-anywhere", id: "question-title" }, question.title),
        el("p", { class: "mt-2 whitespace-pre-line text-sm wrap-anywhere" }, question.body),
        el("div", { class: "modal-action" }, no, yes),
      ),
    );
    dialog.addEventListener("cancel", () => answer(false));
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) answer(false);
    });
    document.body.append(dialog);
    dialog.showModal();
    (question.danger ? no : yes).focus();
  });
}

export type Tone = "info" | "success" | "error";

const ICONS: Record<Tone, string> = { info: "info", success: "circle-check", error: "circle-alert" };

/** What a notice offers beside its sentence: its keys are posted to its path. */
export type Undo = { path: string; label: string; keys: string[] };

export function undoIn(value: unknown): Undo | null {
  if (typeof value !== "object" || value === null) return null;
  const { path, label, keys } = value as Record<string, unknown>;
  if (typeof path !== "string" || typeof label !== "string" || !Array.isArray(keys)) return null;
  return { path, label, keys: keys.map(String) };
}

async function takeBack(undo: Undo): Promise<void> {
  const answer = await post(undo.path, undo.keys.map((key) => ["key", key]));
  if (!answer.ok) {
    toast(answer.message, "error");
    return;
  }
  const body = (answer.body ?? {}) as { said?: string; refused?: { name: string; why: string }[] };
  if (body.said) toast(body.said, "success");
  for (const one of body.refused ?? []) toast(`${one.name}: ${one.why}`, "error");
}

const READ_MS = 5000;
const UNDO_MS = 15000;

export function toast(message: string, tone: Tone = "info", undo: Undo | null = null): void {
  let stack = document.getElementById("toasts");
  if (stack === null) {
    stack = el("div", { id: "toasts", class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(stack);
  }
  const close = el("button", { type: "button", class: "icon-button", "aria-label": say("close"), click: () => note.remove() }, icon("x"));
  const click = (): void => {
    note.remove();
    if (undo !== null) void takeBack(undo);
  };
  const back = undo && el("button", { type: "button", class: "btn btn-xs", "data-undo": true, click }, undo.label);
  const words = el("div", { class: "toast-words" }, el("p", {}, message), back);
  const note = el("div", { class: `toast-note toast-${tone}` }, icon(ICONS[tone]), words, close);
  stack.append(note);
  if (tone !== "error") setTimeout(() => note.remove(), undo === null ? READ_MS : UNDO_MS);
}

/** What a view said before it sent the browser on. */
export function showMessages(): void {
  for (const note of document.querySelectorAll<HTMLTemplateElement>("template[data-message]")) {
    const level = note.dataset["message"];
    toast(note.content.textContent, level === "success" || level === "error" ? level : "info");
    note.remove();
  }
}

export async function openLink(address: string): Promise<void> {
  if (!/^https?:\/\//i.test(address)) return;
  const yes = await ask({ title: say("link-title"), body: address, action: say("link-open") });
  if (yes) window.open(address, "_blank", "noopener,noreferrer");
}
