/**
 * The panel at the bottom that stays while pages change: navigation swaps only `#main`, the dock stands beside it.
 * What is open is kept in sessionStorage, so a reload brings it back (the server replays each log).
 */

import type { CommandPane } from "../command/pane";
import { confirmClose, TerminalPane } from "../terminal/pane";
import { pagePath, parseTarget, streamPath, targetName, type Target } from "../terminal/target";
import { byId, el, icon, iconButton } from "../ui/dom";
import { say } from "../ui/words";
import { parseSaved, type SavedDock } from "./saved";

const KEY = "berth.dock";
const SMALLEST = 140;

interface Tab {
  readonly pane: TerminalPane | CommandPane;
  readonly button: HTMLElement;
  readonly label: HTMLElement;
  readonly watchers: HTMLElement;
}

export class Dock {
  private readonly root: HTMLElement;
  private readonly tabBar = el("div", { class: "dock-tabs", role: "tablist" });
  private readonly body = el("div", { class: "dock-body" });
  private readonly tabs: Tab[] = [];
  private active: Tab | null = null;
  private height = 320;
  private maximised = false;
  private isRestored = false; // until then nothing is saved: it would forget what was open

  constructor(root: HTMLElement) {
    this.root = root;
    const grip = el("div", { class: "dock-grip", role: "separator", "aria-orientation": "horizontal", tabindex: "0" });
    grip.setAttribute("aria-label", say("dock-resize"));
    grip.addEventListener("pointerdown", (event) => this.drag(event, grip));
    grip.addEventListener("keydown", (event) => this.dragByKey(event));
    const tools = el(
      "div",
      { class: "dock-tools" },
      iconButton("maximize-2", say("dock-maximise"), () => this.maximise(!this.maximised)),
      iconButton("chevron-down", say("dock-hide"), () => this.collapse()),
    );
    root.append(grip, el("div", { class: "dock-bar" }, this.tabBar, tools), this.body);
    this.draw();
  }

  /** Bring back what was open before a reload. */
  restore(): void {
    const saved = parseSaved(sessionStorage.getItem(KEY));
    this.isRestored = true;
    if (saved === null) return;
    this.height = saved.height;
    this.maximised = saved.maximised;
    for (const target of saved.terminals.map(parseTarget)) if (target !== null) this.openTerminal(target, { focus: false });
    const tab = this.tabs.find(({ pane }) => nameOf(pane) === saved.active);
    this.activate(tab ?? this.tabs[0] ?? null, false);
    if (saved.collapsed) this.collapse();
  }

  /** One tab for each: asking again shows the one that is there. */
  openTerminal(
    target: Target,
    options: { path?: string; focus?: boolean; onEnd?: (how: "detached" | "exited" | "lost") => void } = {},
  ): void {
    const there = this.tabs.find(({ pane }) => nameOf(pane) === targetName(target));
    if (there !== undefined && options.path === undefined) {
      this.activate(there, true);
      if (there.pane instanceof TerminalPane && !there.pane.isOpen) there.pane.reconnect();
      return;
    }
    if (there !== undefined) this.remove(there);
    const tearOut = iconButton("external-link", say("tear-out"), () => this.tearOut(pane));
    const pane: TerminalPane = new TerminalPane({
      path: options.path ?? streamPath(target, "mode=attach&stdin=1"),
      target,
      logs: false,
      extraButtons: [tearOut],
      onChange: () => this.draw(),
      ...(options.onEnd ? { onEnd: options.onEnd } : {}),
      onLeave: () => byId("command-input")?.focus(),
    });
    this.add(pane, "square-terminal");
    void pane.open().then(() => {
      if (options.focus !== false) pane.focus();
    });
  }

  /** The next command takes the place of those that have ended. */
  openCommand(pane: CommandPane): void {
    for (const tab of [...this.tabs]) {
      if (!(tab.pane instanceof TerminalPane) && tab.pane.stateName !== "live") this.remove(tab);
    }
    this.add(pane, "chevron-right");
  }

  show(pane: TerminalPane | CommandPane): void {
    const tab = this.tabs.find((candidate) => candidate.pane === pane);
    if (tab !== undefined) this.activate(tab, false);
  }

  redraw(): void {
    this.draw();
  }

  private add(pane: TerminalPane | CommandPane, iconName: string): void {
    const label = el("span", { class: "dock-tab-label" });
    const watchers = el("span", { class: "dock-tab-watchers", hidden: true });
    const select = el("button", { type: "button", role: "tab", class: "dock-tab-select" }, icon(iconName), label, watchers);
    const close = iconButton("x", say("close"), () => void this.closeTab(tab));
    const button = el("div", { class: "dock-tab" }, select, close);
    const tab: Tab = { pane, button, label, watchers };
    select.addEventListener("click", () => this.activate(tab, true));
    this.tabs.push(tab);
    this.tabBar.append(button);
    this.body.append(pane.element);
    this.activate(tab, false);
  }

  private activate(tab: Tab | null, focus: boolean): void {
    this.active = tab;
    this.root.removeAttribute("data-collapsed");
    this.draw();
    tab?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (focus && tab !== null) tab.pane.focus();
  }

  private async closeTab(tab: Tab): Promise<void> {
    if (tab.pane instanceof TerminalPane && !(await confirmClose(tab.pane))) return;
    this.remove(tab);
  }

  private remove(tab: Tab): void {
    const index = this.tabs.indexOf(tab);
    if (index < 0) return;
    this.tabs.splice(index, 1);
    tab.button.remove();
    tab.pane.close();
    if (this.active === tab) this.active = this.tabs[Math.min(index, this.tabs.length - 1)] ?? null;
    this.draw();
  }

  private tearOut(pane: TerminalPane): void {
    const tab = this.tabs.find((candidate) => candidate.pane === pane);
    window.open(pagePath(pane.target), "_blank");
    if (tab !== undefined) this.remove(tab);
  }

  private maximise(on: boolean): void {
    this.maximised = on;
    this.draw();
    this.active?.pane.focus();
  }

  private collapse(): void {
    this.root.toggleAttribute("data-collapsed");
    this.draw();
  }

  private drag(start: PointerEvent, grip: HTMLElement): void {
    grip.setPointerCapture(start.pointerId);
    const from = this.root.getBoundingClientRect().height;
    this.maximised = false;
    const move = (event: PointerEvent): void => this.setHeight(from + start.clientY - event.clientY);
    grip.addEventListener("pointermove", move);
    grip.addEventListener("lostpointercapture", () => grip.removeEventListener("pointermove", move), { once: true });
  }

  private dragByKey(event: KeyboardEvent): void {
    const step = { ArrowUp: 24, ArrowDown: -24 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.setHeight(this.height + step);
  }

  private setHeight(pixels: number): void {
    this.height = Math.round(Math.min(Math.max(pixels, SMALLEST), innerHeight - 120));
    this.root.removeAttribute("data-collapsed");
    this.draw();
  }

  private draw(): void {
    this.root.hidden = this.tabs.length === 0;
    this.root.toggleAttribute("data-maximised", this.maximised);
    this.root.style.setProperty("--dock-height", `${this.height}px`);
    for (const tab of this.tabs) {
      const isActive = tab === this.active;
      tab.pane.element.hidden = !isActive;
      tab.button.toggleAttribute("data-active", isActive);
      tab.button.querySelector("[role=tab]")?.setAttribute("aria-selected", String(isActive));
      tab.button.dataset["state"] = tab.pane instanceof TerminalPane ? tab.pane.state.name : tab.pane.stateName;
      tab.label.textContent = tabLabel(tab.pane);
      tab.button.title = tab.pane.title;
      drawWatchers(tab);
    }
    if (this.isRestored) this.save();
  }

  private save(): void {
    const terminals = this.tabs.map(({ pane }) => pane).filter((pane) => pane instanceof TerminalPane && !isOver(pane));
    const saved: SavedDock = {
      height: this.height,
      maximised: this.maximised,
      collapsed: this.root.hasAttribute("data-collapsed"),
      active: this.active === null ? "" : nameOf(this.active.pane),
      terminals: terminals.map(nameOf),
    };
    sessionStorage.setItem(KEY, JSON.stringify(saved));
  }
}

function nameOf(pane: TerminalPane | CommandPane): string {
  return pane instanceof TerminalPane ? targetName(pane.target) : "";
}

/** Who watches is worth a place once it is not this person alone. */
function drawWatchers({ pane, watchers }: Tab): void {
  const names = pane instanceof TerminalPane ? pane.watching : [];
  watchers.hidden = names.length < 2;
  if (watchers.hidden) return;
  const words = say("watching", { names: names.join(", ") });
  if (watchers.title === words) return;
  watchers.title = words;
  watchers.replaceChildren(
    icon("eye"),
    el("span", { "aria-hidden": "true" }, String(names.length)),
    el("span", { class: "sr-only" }, words),
  );
}

/** A container may be started again; a further command that has ended will not come back. */
function isOver(pane: TerminalPane): boolean {
  return pane.target.kind === "exec" && ["exited", "closed"].includes(pane.state.name);
}

function tabLabel(pane: TerminalPane | CommandPane): string {
  if (!(pane instanceof TerminalPane)) return pane.title;
  if (pane.target.kind === "exec") return [pane.name, pane.command].filter(Boolean).join(": ");
  return [pane.image, pane.target.id.slice(0, 12)].filter(Boolean).join(" ");
}
