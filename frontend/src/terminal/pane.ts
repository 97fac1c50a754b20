/** A terminal with its bar, its search line and its banner; in the dock, on its own page, or as a followed log. */

import { copyPlain } from "../ui/clipboard";
import { ask, openLink, toast } from "../ui/dialogs";
import { el, icon, iconButton } from "../ui/dom";
import { hold, onLive } from "../ui/live";
import { post } from "../ui/requests";
import { humanSize, say } from "../ui/words";
import { LEAVE_CHORD } from "./keys";
import { LifeLine } from "./life";
import { Session, type Hello, type State } from "./session";
import { type Target } from "./target";
import type { Found, Screen, TerminalView } from "./view";

export interface PaneOptions {
  readonly path: string; // "/ws/terminals/<64 hex>?…", "/ws/execs/<64 hex>?…"
  readonly target: Target;
  readonly logs: boolean;
  readonly extraButtons?: HTMLElement[];
  readonly onChange?: (pane: TerminalPane) => void;
  readonly onEnd?: (how: "detached" | "exited" | "lost") => void;
  readonly onLeave?: () => void;
}

const FONT_KEY = "berth.terminal.font";
const RUNNING = new Set(["running", "stopping"]);
const panes = new Set<TerminalPane>();

export function openPanes(): ReadonlySet<TerminalPane> {
  return panes;
}

export class TerminalPane {
  readonly element: HTMLElement;
  name = "";
  image = "";
  command = ""; // of a further command; a container's own is not named
  title = "";
  watching: readonly string[] = []; // who has it open, as the server last said
  state: State = { name: "connecting" };
  private readonly screen = el("div", { class: "terminal-screen" });
  private readonly banner = el("div", { class: "terminal-banner", role: "status", hidden: true });
  private readonly life = new LifeLine(() => this.container);
  private readonly status = el("span", { class: "terminal-status", role: "status" });
  private readonly heading = el("span", { class: "terminal-title" });
  private readonly searchCount = el("span", { class: "terminal-found", role: "status" });
  private readonly searchField = el("input", {
    type: "search",
    class: "input input-xs",
    placeholder: say("search"),
    "aria-label": say("search"),
  });
  private readonly detachButton: HTMLButtonElement;
  private readonly session: Session;
  private view: TerminalView | null = null;
  private observer: ResizeObserver | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private hasEnded = false;
  private container = ""; // its id, of a command the id of its container
  private readonly cleanups: (() => void)[] = [];

  constructor(private readonly options: PaneOptions) {
    this.detachButton = el(
      "button",
      { type: "button", class: "btn btn-xs btn-ghost", title: say("detach-hint"), click: () => this.session.detach() },
      icon("unplug"),
      el("span", {}, say("detach")),
    );
    this.element = el("section", { class: "terminal-pane", "aria-label": say("terminal") });
    this.element.dataset[options.target.kind] = options.target.id;
    this.element.append(this.bar(), this.searchLine(), this.life.element, this.screen, this.banner);
    this.session = new Session({
      path: options.path,
      origin: location.origin,
      sink: {
        write: (frame, consumed) => this.view?.write(frame, consumed),
        replaySize: (rows, columns) => this.view?.replaySize(rows, columns),
        skipped: (bytes) => this.view?.skipped(bytes),
        whenShown: (then) => this.view?.whenShown(then),
      },
      size: () => this.view?.size() ?? { rows: 24, columns: 80 },
      onState: (state) => this.show(state),
      onHello: (hello) => this.greet(hello),
      onWatching: (names) => {
        this.watching = names;
        this.options.onChange?.(this);
      },
      onLife: (endsAt, cause) => this.life.show(endsAt, cause),
      onNotice: (_kind, message) => toast(message),
    });
    panes.add(this);
  }

  /** Call once the element is in the page: cells are measured there. */
  async open(): Promise<void> {
    const { TerminalView: View } = await import("./view");
    const fontSize = Number(localStorage.getItem(FONT_KEY)) || 14;
    await View.fontsReady(fontSize);
    if (!panes.has(this)) return;
    this.view = new View(this.screen, {
      label: say("terminal"),
      fontSize,
      readOnly: this.options.logs,
      contrast: document.documentElement.dataset["theme"] === "contrast",
      skipMark: (bytes) => say("skipped", { size: humanSize(bytes) }),
      onInput: (bytes) => this.session.input(bytes),
      onTitle: (title) => this.retitle(title),
      onLink: (address) => void openLink(address),
      onLeave: () => this.leave(),
      onFound: (found) => this.showFound(found),
    });
    this.view.fit();
    this.observer = new ResizeObserver(() => this.refitSoon());
    this.observer.observe(this.screen);
    if (this.target.kind === "container") {
      this.cleanups.push(hold(`container.${this.target.id}`), onLive((event) => this.hear(event)));
    }
    this.session.open();
  }

  close(): void {
    panes.delete(this);
    this.end("detached");
    this.session.close();
    this.observer?.disconnect();
    clearTimeout(this.timer);
    this.life.show("", "");
    for (const cleanup of this.cleanups.splice(0)) cleanup();
    this.view?.dispose();
    this.view = null;
    this.element.remove();
  }

  focus(): void {
    this.view?.focus();
  }

  get target(): Target {
    return this.options.target;
  }

  get isOpen(): boolean {
    return ["live", "replaying", "connecting", "reconnecting"].includes(this.state.name);
  }

  text(): string {
    return this.view?.text() ?? "";
  }

  shownScreen(): Screen | null {
    return this.view?.shownScreen() ?? null;
  }

  /** After the container was started again: go on where the log was left. */
  reconnect(): void {
    this.session.open();
    this.focus();
  }

  private bar(): HTMLElement {
    const tools = el("div", { class: "terminal-tools" });
    if (!this.options.logs) tools.append(this.detachButton);
    tools.append(
      iconButton("search", say("search"), () => this.toggleSearch()),
      iconButton("copy", say("copy"), () => void this.copy()),
      iconButton("minus", say("font-smaller"), () => this.zoom(-1)),
      iconButton("plus", say("font-larger"), () => this.zoom(1)),
      ...(this.options.extraButtons ?? []),
    );
    const hint = el("span", { class: "terminal-hint" }, this.options.logs ? "" : say("leave-hint", { keys: LEAVE_CHORD }));
    return el("header", { class: "terminal-bar" }, this.status, this.heading, hint, tools);
  }

  private searchLine(): HTMLElement {
    const field = this.searchField;
    const go = (up: boolean): void => this.view?.find(field.value, up);
    field.addEventListener("input", () => this.view?.findNewest(field.value));
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") go(!event.shiftKey);
      if (event.key === "Escape") this.toggleSearch();
    });
    return el(
      "div",
      { class: "terminal-search", hidden: true },
      this.searchCount,
      field,
      iconButton("chevron-up", say("previous"), () => go(true)),
      iconButton("chevron-down", say("next"), () => go(false)),
      iconButton("x", say("close"), () => this.toggleSearch()),
    );
  }

  private showFound(found: Found | null): void {
    const isMissing = found?.count === 0 && this.searchField.value !== "";
    this.searchField.setAttribute("aria-invalid", String(isMissing));
    this.searchCount.textContent = isMissing ? say("search-none") : countOf(found);
  }

  private toggleSearch(): void {
    const line = this.element.querySelector<HTMLElement>(".terminal-search");
    if (line === null) return;
    line.hidden = !line.hidden;
    if (line.hidden) {
      this.view?.endSearch();
      this.focus();
      return;
    }
    this.searchField.focus();
    this.searchField.select();
    this.view?.findNewest(this.searchField.value);
  }

  private async copy(): Promise<void> {
    const text = this.view?.selection || this.text();
    if (await copyPlain(text)) toast(say("copied"), "success");
    this.focus();
  }

  private zoom(step: number): void {
    const size = Math.min(28, Math.max(9, (Number(localStorage.getItem(FONT_KEY)) || 14) + step));
    localStorage.setItem(FONT_KEY, String(size));
    for (const pane of panes) {
      pane.view?.setFontSize(size);
      pane.refitSoon();
    }
  }

  private refitSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refit(), 60);
  }

  /** During a replay the size belongs to the past. */
  private refit(): void {
    if (this.state.name === "replaying" || this.view === null) return;
    if (!this.view.fit()) return;
    const { rows, columns } = this.view.size();
    this.session.resize(rows, columns);
  }

  private greet(hello: Hello): void {
    this.name = hello.name;
    this.container = hello.container;
    this.image = hello.image;
    this.command = hello.title;
    this.view?.setTty(hello.tty);
    this.retitle(this.title);
  }

  private retitle(title: string): void {
    this.title = title.replace(/\p{Cc}/gu, "").slice(0, 200);
    this.heading.textContent = [this.name, this.command || this.image].filter(Boolean).join(" · ");
    this.heading.title = this.title;
    this.options.onChange?.(this);
  }

  private show(state: State): void {
    this.state = state;
    if (state.name !== "live" && state.name !== "replaying") {
      this.watching = []; // nobody tells any more
      this.life.show("", "");
    }
    this.element.dataset["state"] = state.name;
    this.status.textContent = say(`state-${state.name}`);
    this.detachButton.disabled = state.name !== "live";
    if (state.name === "live") this.view?.fit();
    this.drawBanner(state);
    this.options.onChange?.(this);
    if (state.name === "detached" || state.name === "exited") this.end(state.name);
    if (state.name === "closed") this.end("lost");
  }

  /** Told once: a command that waits for this terminal goes on. */
  private end(how: "detached" | "exited" | "lost"): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.options.onEnd?.(how);
  }

  private drawBanner(state: State): void {
    const parts = this.bannerParts(state);
    this.banner.hidden = parts.length === 0;
    this.banner.replaceChildren(...parts);
  }

  private bannerParts(state: State): HTMLElement[] {
    const button = (label: string, act: () => void): HTMLElement =>
      el("button", { type: "button", class: "btn btn-xs btn-primary", click: act }, label);
    const words = (text: string): HTMLElement => el("span", {}, text);
    switch (state.name) {
      case "reconnecting":
        return [words(say("lost")), button(say("try-now"), () => this.session.open())];
      case "exited": {
        const reason = state.reason === "" ? [] : [el("span", { class: "terminal-reason" }, state.reason)];
        const start = this.options.logs || this.isCommand ? [] : [button(say("start"), () => void this.start())];
        return [words(this.howItEnded(state.code)), ...reason, ...start];
      }
      case "detached":
        return [words(this.isCommand ? say("exec-detached") : say("detached")), button(say("attach-again"), () => this.reconnect())];
      case "closed":
        return this.closedParts(state.kind, state.message, words, button);
      default:
        return [];
    }
  }

  /** A further command in a container, and not the container's own program. */
  private get isCommand(): boolean {
    return this.target.kind === "exec";
  }

  private howItEnded(code: number | null): string {
    if (code === null) return this.isCommand ? say("exec-exited-unknown") : say("exited-unknown");
    return this.isCommand ? say("exec-exited", { code }) : say("exited", { code });
  }

  private closedParts(
    kind: string,
    message: string,
    words: (text: string) => HTMLElement,
    button: (label: string, act: () => void) => HTMLElement,
  ): HTMLElement[] {
    const parts = [words(kind === "gone" && this.isCommand ? say("exec-closed-gone") : say(`closed-${kind}`))];
    if (message !== "") parts.push(el("span", { class: "terminal-reason" }, message));
    if (kind === "signed-out") parts.push(button(say("sign-in"), () => location.reload()));
    else if (kind !== "gone") parts.push(button(say("connect-again"), () => this.reconnect()));
    return parts;
  }

  private async start(): Promise<void> {
    const buttons = this.banner.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    const { rows, columns } = this.view?.size() ?? { rows: 24, columns: 80 };
    const answer = await post(`/containers/${this.target.id}/start/`, { rows: String(rows), columns: String(columns) });
    for (const button of buttons) button.disabled = false;
    if (!answer.ok) toast(answer.message, "error");
    else if (!this.isOpen) this.reconnect(); // the news of the start may have opened it already: a second time would lose keys
    else this.focus();
  }

  private hear(event: Record<string, unknown> & { topic: string }): void {
    if (event.topic !== `container.${this.target.id}`) return;
    const state = event["state"];
    if (typeof state === "string" && RUNNING.has(state) && this.state.name === "exited") this.session.open();
  }

  private leave(): void {
    this.view?.blur();
    if (this.options.onLeave) this.options.onLeave();
    else this.element.querySelector<HTMLElement>(".terminal-tools button:not(:disabled)")?.focus();
  }
}

function countOf(found: Found | null): string {
  if (found === null || found.count === 0) return "";
  return found.at > 0 ? say("search-count", { n: found.at, m: found.count }) : String(found.count);
}

/** Asked before the page is left by anything but our own links. */
export function askBeforeLeaving(): void {
  addEventListener("beforeunload", (event) => {
    if (![...panes].some((pane) => pane.isOpen && !pane.element.dataset["quiet"])) return;
    event.preventDefault();
  });
}

export function confirmClose(pane: TerminalPane): Promise<boolean> {
  if (!pane.isOpen) return Promise.resolve(true);
  return ask({ title: say("close-terminal"), body: say("close-terminal-body"), action: say("close") });
}
