/** One command and what it prints: text as the command line prints it, one bar a layer, and Stop. */

import { Session } from "../terminal/session";
import { toast } from "../ui/dialogs";
import { el, icon } from "../ui/dom";
import { say } from "../ui/words";
import { targetOfPath, type Target } from "../terminal/target";
import { parseCommandMessage, percent, plainText, type CommandMessage } from "./messages";

const KEEP_NODES = 4000;

export interface CommandOptions {
  readonly line: string;
  readonly onChange: () => void;
  /** A terminal to open beside this pane; call back with how it ended. */
  readonly onTerminal: (target: Target, path: string, ended: (how: "detached" | "exited" | "lost") => void) => void;
  readonly onExit: (code: number) => void;
}

function openDoor(): WebSocket {
  const url = new URL("/ws/command", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url);
}

function sendSignal(container: string): void {
  const socket = openDoor();
  socket.onopen = () => socket.send(JSON.stringify({ t: "run", line: `kill -s INT ${container}`, tty: false }));
  socket.onmessage = (event: MessageEvent<string>) => {
    if (parseCommandMessage(event.data)?.t === "exit") socket.close(1000);
  };
}

export class CommandPane {
  readonly element = el("section", { class: "command-pane", "aria-label": say("command") });
  readonly title: string;
  stateName = "live";
  private readonly output = el("div", { class: "command-output", role: "log", "aria-live": "polite", tabindex: "0" });
  private readonly bars = new Map<string, HTMLElement>();
  private readonly stop: HTMLButtonElement;
  private inputLine: HTMLElement | null = null;
  private screen: HTMLElement | null = null;
  private socket: WebSocket | null = null;
  private inner: Session | null = null;
  private signalled: string | null = null; // the container whose program Stop asks to end, as Ctrl-C would

  constructor(private readonly options: CommandOptions) {
    this.title = options.line;
    this.stop = el("button", { type: "button", class: "btn btn-xs btn-ghost", click: () => this.interrupt() }, icon("square"), say("stop"));
    const bar = el("header", { class: "terminal-bar" }, el("span", { class: "command-line" }, `$ ${options.line}`), this.stop);
    this.element.append(bar, this.output);
  }

  run(): void {
    const socket = openDoor();
    this.socket = socket;
    const size = { rows: 24, cols: 80 };
    socket.onopen = () => this.send({ t: "run", line: this.options.line, tty: true, ...size });
    socket.onmessage = (event: MessageEvent<string>) => {
      const message = parseCommandMessage(event.data);
      if (message !== null) this.act(message);
    };
    socket.onclose = (event) => {
      if (this.stateName === "live") this.finish(125, event.reason || say(event.code === 4401 ? "closed-signed-out" : "command-lost"));
    };
  }

  close(): void {
    if (this.inner === null) this.send({ t: "interrupt" });
    this.inner?.close();
    this.socket?.close(1000);
    this.element.remove();
  }

  focus(): void {
    this.output.focus();
  }

  private send(message: object): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  /** As Ctrl-C on the command line: to the program that is watched; to ours where it takes no signals; then give up. */
  private interrupt(): void {
    if (this.inner === null) {
      this.send({ t: "interrupt" });
    } else if (this.signalled !== null) {
      sendSignal(this.signalled);
      this.signalled = null;
    } else {
      this.inner.close();
      this.finish(130, "");
    }
  }

  private act(message: CommandMessage): void {
    switch (message.t) {
      case "out":
      case "err":
        this.print(plainText(message.text), message.t);
        break;
      case "screen":
        this.redraw(plainText(message.text));
        break;
      case "progress":
        this.progress(message);
        break;
      case "stream":
        this.stream(message);
        break;
      case "ask":
        this.ask(message);
        break;
      case "exit":
        this.finish(message.code, "");
        break;
    }
  }

  private print(text: string, kind: "out" | "err" | "note"): void {
    if (text === "") return;
    const atEnd = this.output.scrollHeight - this.output.scrollTop - this.output.clientHeight < 40;
    this.output.append(el("span", { class: `command-${kind}` }, text));
    while (this.output.childNodes.length > KEEP_NODES) this.output.firstChild?.remove();
    if (atEnd) this.output.scrollTop = this.output.scrollHeight;
  }

  /** A text in the place of the one before: what `stats` shows. */
  private redraw(text: string): void {
    if (this.screen === null) {
      this.screen = el("span", { class: "command-out" });
      this.output.append(this.screen);
    }
    this.screen.textContent = text;
  }

  private progress(message: Extract<CommandMessage, { t: "progress" }>): void {
    let row = this.bars.get(message.id);
    if (row === undefined) {
      row = el("div", { class: "command-progress" }, el("code", {}, `${message.id}: `), el("span", { class: "step" }), el("progress", { max: "100" }));
      this.bars.set(message.id, row);
      this.output.append(row);
      this.output.scrollTop = this.output.scrollHeight;
    }
    const status = row.querySelector(".step");
    if (status !== null) status.textContent = message.status;
    const bar = row.querySelector("progress");
    if (bar === null) return;
    const done = message.status === "Pull complete" || message.status === "Already exists";
    bar.value = done ? 100 : percent(message.current, message.total);
    row.toggleAttribute("data-done", done);
  }

  private stream(message: Extract<CommandMessage, { t: "stream" }>): void {
    const target = targetOfPath(message.path);
    if (target === null) return;
    const ended = (how: "detached" | "exited" | "lost"): void => {
      this.inputLine?.remove();
      this.send({ t: "stream-ended", how });
    };
    if (message.tty) {
      this.options.onTerminal(target, message.path, ended);
      return;
    }
    this.follow(message, ended);
  }

  /** Output without a terminal is shown here, as text. */
  private follow(message: Extract<CommandMessage, { t: "stream" }>, ended: (how: "detached" | "exited" | "lost") => void): void {
    this.signalled = message.proxiesSignals ? message.container : null;
    const decoders = { 1: new TextDecoder(), 2: new TextDecoder() };
    const inner: Session = new Session({
      path: message.path,
      origin: location.origin,
      sink: {
        write: (frame, consumed) => {
          this.print(plainText(decoders[frame.stream].decode(frame.payload, { stream: true })), frame.stream === 1 ? "out" : "err");
          requestAnimationFrame(consumed);
        },
        replaySize: () => undefined,
        skipped: () => undefined,
        whenShown: (then) => then(),
      },
      size: () => ({ rows: 24, columns: 80 }),
      onState: (state) => {
        if (state.name === "exited" || state.name === "detached") ended(state.name);
        if (state.name === "closed") ended(state.kind === "ended" ? "exited" : "lost");
        if (state.name === "live" && message.interactive && this.inputLine === null) this.askForInput(inner);
      },
      onNotice: (_kind, text) => toast(text),
    });
    this.inner = inner;
    inner.open();
  }

  /** A question of the command's: its answer goes back and is kept nowhere. */
  private ask(message: Extract<CommandMessage, { t: "ask" }>): void {
    const field = el("input", {
      class: "input input-xs grow",
      type: message.secret ? "password" : "text",
      autocomplete: "off",
      "aria-label": message.prompt,
    });
    const form = el("form", { class: "command-stdin" }, el("span", { class: "command-out" }, message.prompt), field);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.print(`${message.prompt}${message.secret ? "" : field.value}\n`, "out");
      this.send({ t: "answer", text: field.value });
      form.remove();
    });
    this.inputLine?.remove();
    this.inputLine = form;
    this.element.append(form);
    field.focus();
  }

  private askForInput(session: Session): void {
    const field = el("input", { class: "input input-xs grow", "aria-label": say("input"), placeholder: say("input") });
    const form = el(
      "form",
      { class: "command-stdin" },
      field,
      el("button", { type: "button", class: "btn btn-xs", click: () => session.endInput() }, say("end-input")),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // What cannot be taken now (the connection is coming back) stays in the field.
      if (session.input(new TextEncoder().encode(`${field.value}\n`))) field.value = "";
    });
    this.inputLine = form;
    this.element.append(form);
    field.focus();
  }

  private finish(code: number, reason: string): void {
    if (this.stateName !== "live") return;
    if (reason !== "") this.print(`${reason}\n`, "err");
    this.stateName = code === 0 ? "done" : "failed";
    this.element.dataset["state"] = this.stateName;
    this.element.dataset["code"] = String(code);
    if (code !== 0) this.print(`${say("exit-code", { code })}\n`, "note");
    this.stop.remove();
    this.inputLine?.remove();
    this.socket?.close(1000);
    this.options.onChange();
    this.options.onExit(code);
  }
}
