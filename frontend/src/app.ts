/** Every page's start. */

import "./styles/app.css";

import { runLine, startCommandBar } from "./command/bar";
import { Dock } from "./dock/dock";
import type { Screen } from "./terminal/view";
import { askBeforeLeaving, openPanes, TerminalPane } from "./terminal/pane";
import { parseTarget, streamPath } from "./terminal/target";
import { showMessages } from "./ui/dialogs";
import { byId } from "./ui/dom";
import { startForms } from "./ui/forms";
import { connectLive } from "./ui/live";
import { startNavigation } from "./ui/navigation";
import { startPasskeys } from "./ui/passkeys";
import { startProgress } from "./ui/progress";
import { startTransfers } from "./ui/transfer";
import { startSelection } from "./ui/selection";
import { loadWords, tickTimes } from "./ui/words";

declare global {
  interface Window {
    /** For tests in a browser: what a terminal shows (the renderer may be a canvas). */
    berth: {
      terminalText: (id?: string) => string;
      terminalScreen: (id?: string) => Screen | null;
      run: (line: string) => void;
    };
  }
}

/** Terminals that are part of a page: its own page, or a followed log. They end with the page's main part. */
function mountPagePanes(): void {
  for (const pane of openPanes()) if (pane.element.dataset["mounted"] && !pane.element.isConnected) pane.close();
  for (const host of document.querySelectorAll<HTMLElement>("[data-terminal]:not([data-mounted])")) {
    const target = parseTarget(host.dataset["terminal"] ?? "");
    if (target === null) continue;
    const logs = host.dataset["mode"] === "logs";
    const query = logs ? "mode=logs&follow=1&stdin=0&tail=2000" : "mode=attach&stdin=1";
    const pane = new TerminalPane({
      path: streamPath(target, query),
      target,
      logs,
      onChange: (changed) => {
        if (!logs && host.dataset["page"] !== undefined) document.title = changed.title || `${changed.name} · Berth`;
      },
    });
    host.dataset["mounted"] = "true";
    pane.element.dataset["mounted"] = "true";
    if (logs) pane.element.dataset["quiet"] = "true";
    host.append(pane.element);
    void pane.open().then(() => {
      if (!logs) pane.focus();
    });
  }
}

function paneOf(id?: string): TerminalPane | undefined {
  const all = [...openPanes()];
  if (id === undefined) return all.find((pane) => !pane.element.hidden && !pane.element.dataset["quiet"]);
  const same = all.filter((pane) => pane.target.id === id);
  return same.find((pane) => !pane.element.dataset["quiet"]) ?? same[0];
}

function start(): void {
  loadWords();
  startForms();
  startPasskeys();
  const root = byId("dock");
  const dock = root === null ? null : new Dock(root);
  showMessages();
  window.berth = {
    terminalText: (id) => paneOf(id)?.text() ?? "",
    terminalScreen: (id) => paneOf(id)?.shownScreen() ?? null,
    run: (line) => dock && runLine(dock, line),
  };
  if (document.body.dataset["person"] === undefined) return; // signed out: plain pages
  startNavigation();
  startProgress();
  startTransfers();
  startSelection();
  connectLive();
  askBeforeLeaving();
  if (dock !== null) {
    startCommandBar(dock);
    dock.restore();
    document.addEventListener("click", (event) => {
      const opener = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-open-terminal]") : null;
      if (opener === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      const target = parseTarget(opener.dataset["openTerminal"] ?? "");
      if (target !== null) dock.openTerminal(target);
    }, true);
  }
  mountPagePanes();
  document.body.addEventListener("htmx:afterSettle", mountPagePanes);
  document.body.addEventListener("berth:page", () => {
    mountPagePanes();
    showMessages();
  });
  document.body.addEventListener("open-terminal", (event) => {
    const target = parseTarget((event as CustomEvent<{ terminal?: string }>).detail.terminal ?? "");
    if (target !== null) dock?.openTerminal(target);
  });
  document.body.addEventListener("run-command", (event) => {
    const detail = (event as CustomEvent<{ line?: string }>).detail;
    if (detail.line && dock) runLine(dock, detail.line);
  });
  tickTimes();
  setInterval(() => tickTimes(), 30_000);
}

start();
