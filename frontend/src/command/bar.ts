/** The command bar: Docker's words, from any page. */

import type { Dock } from "../dock/dock";
import { isCommandChord, LEAVE_CHORD } from "../terminal/keys";
import { byId } from "../ui/dom";
import { say } from "../ui/words";
import { History } from "./history";
import { CommandPane } from "./pane";

export function runLine(dock: Dock, line: string): void {
  const pane = new CommandPane({
    line: line.replace(/^\$\s*/, ""),
    onChange: () => dock.redraw(),
    onTerminal: (target, path, ended) => dock.openTerminal(target, { path, onEnd: ended }),
    onExit: () => document.body.dispatchEvent(new CustomEvent("berth:command-done")),
  });
  dock.openCommand(pane);
  pane.run();
}

export function startCommandBar(dock: Dock): void {
  const input = byId("command-input");
  if (!(input instanceof HTMLInputElement)) return;
  const history = new History();
  input.form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const line = input.value.trim();
    if (line === "") return;
    if (!holdsPassword(line)) history.add(line);
    input.value = "";
    runLine(dock, line);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowUp") recall(event, input, history.previous());
    if (event.key === "ArrowDown") recall(event, input, history.next());
    if (event.key === "Escape") input.blur();
  });
  document.addEventListener("keydown", (event) => {
    if (!isCommandChord(event, event.target)) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
  document.addEventListener("click", (event) => {
    const source = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-run]") : null;
    const line = source?.dataset["run"];
    if (line) runLine(dock, line);
  });
  input.title = say("leave-hint", { keys: LEAVE_CHORD });
}

/** A log-in with its password in the line: Berth refuses it, and the browser is not to keep it. */
function holdsPassword(line: string): boolean {
  return /\blogin\b.*\s(-p|--password)\b(?!-stdin)/.test(line);
}

function recall(event: KeyboardEvent, input: HTMLInputElement, line: string | null): void {
  event.preventDefault();
  if (line === null) return;
  input.value = line;
  input.setSelectionRange(line.length, line.length);
}
