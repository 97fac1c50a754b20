/**
 * One stream over as many connections as it takes. Knows nothing of xterm.js: it writes to a `Sink` and reports states.
 *
 * A replay must not type: until the server says "live" and everything before it is on the screen, nothing that the
 * terminal produces is sent, neither keys nor the answers to device queries found in old output (WS-10).
 */

import { Backoff, closeKind, Intake, Outbox, streamUrl, type CloseKind } from "./flow";
import { decodeOutput, parseMessage, type OutputFrame, type ServerMessage } from "./frames";

export interface Sink {
  /** `consumed` is called when the bytes are on the screen. */
  write(frame: OutputFrame, consumed: () => void): void;
  /** In order with what was written: the size that the following output was made for. */
  replaySize(rows: number, columns: number): void;
  /** In order with what was written: output was left out here. */
  skipped(bytes: number): void;
  /** Calls back when everything written so far is on the screen. */
  whenShown(then: () => void): void;
}

export type State =
  | { name: "connecting" | "replaying" | "live" | "detached" }
  | { name: "reconnecting"; delayMs: number }
  | { name: "exited"; code: number | null; reason: string }
  | { name: "closed"; kind: CloseKind; message: string };

export interface Hello {
  readonly container: string;
  readonly tty: boolean;
  readonly write: boolean;
  readonly state: string;
  readonly name: string;
  readonly image: string;
  readonly exec: string; // id of the further command that this is about; "" for a container's own
  readonly title: string;
}

export interface SessionOptions {
  readonly path: string;
  readonly origin: string;
  readonly sink: Sink;
  readonly size: () => { rows: number; columns: number };
  readonly onState: (state: State) => void;
  readonly onHello?: (hello: Hello) => void;
  readonly onWatching?: (names: readonly string[]) => void;
  readonly onLife?: (endsAt: string, cause: string) => void;
  readonly onNotice?: (kind: string, message: string) => void;
  readonly connect?: (url: string) => WebSocket;
}

export class Session {
  state: State = { name: "connecting" };
  hello: Hello | null = null;
  private readonly intake = new Intake();
  private readonly outbox = new Outbox((piece) => this.socket?.send(new Uint8Array(piece)));
  private readonly backoff = new Backoff();
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private error = "";
  private stopped = false;

  constructor(private readonly options: SessionOptions) {}

  open(): void {
    this.drop();
    this.intake.reconnected();
    this.outbox.reconnected();
    this.error = "";
    this.stopped = false;
    const connect = this.options.connect ?? ((url: string) => new WebSocket(url));
    const request = { path: this.options.path, ...this.options.size(), from: this.intake.position };
    const socket = connect(streamUrl(this.options.origin, request));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    const current = (act: () => void) => (): void => {
      if (this.socket === socket) act();
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => current(() => this.receive(event.data))();
    socket.onclose = (event: CloseEvent) => current(() => this.closed(event.code, event.reason))();
    if (this.state.name !== "reconnecting") this.become({ name: "connecting" });
  }

  /** Stop watching. The container goes on. */
  close(): void {
    this.stopped = true;
    this.drop();
  }

  get isLive(): boolean {
    return this.state.name === "live";
  }

  /** Keys and answers of the terminal; dropped unless live and allowed. */
  input(bytes: Uint8Array): boolean {
    if (!this.isLive || this.hello?.write !== true || this.socket?.readyState !== 1) return false;
    return this.outbox.put(bytes);
  }

  resize(rows: number, columns: number): void {
    if (this.isLive && this.hello?.tty === true) this.send({ t: "resize", rows, cols: columns });
  }

  detach(): void {
    this.send({ t: "detach" });
  }

  endInput(): void {
    this.send({ t: "eof" });
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.timer);
    if (socket !== null && socket.readyState <= 1) socket.close(1000);
  }

  private send(message: object): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  private become(state: State): void {
    this.state = state;
    this.options.onState(state);
  }

  private receive(data: ArrayBuffer | string): void {
    if (typeof data === "string") {
      const message = parseMessage(data);
      if (message !== null) this.act(message);
      return;
    }
    const frame = decodeOutput(data);
    const socket = this.socket;
    const consumed = (): void => {
      if (this.socket !== socket) return; // counted on a connection that is gone
      const total = this.intake.consume(frame.payload.length);
      if (total !== null) this.send({ t: "ack", bytes: total });
    };
    if (this.intake.take(frame)) this.options.sink.write(frame, consumed);
    else consumed();
  }

  private act(message: ServerMessage): void {
    switch (message.t) {
      case "hello":
        this.hello = message;
        this.backoff.reset();
        this.options.onHello?.(message);
        this.become({ name: "replaying" });
        break;
      case "resize":
        if (!this.isLive) this.options.sink.replaySize(message.rows, message.cols);
        break;
      case "live":
        this.afterShown(() => this.goLive());
        break;
      case "exit":
        this.afterShown(() => this.become({ name: "exited", code: message.code, reason: message.reason }));
        break;
      case "detached":
        this.afterShown(() => this.become({ name: "detached" }));
        break;
      default:
        this.pass(message);
    }
  }

  /** What leaves the state as it is. */
  private pass(message: ServerMessage): void {
    switch (message.t) {
      case "skipped":
        this.options.sink.skipped(message.bytes);
        break;
      case "taken":
        this.outbox.tookTotal(message.bytes);
        break;
      case "watching":
        this.options.onWatching?.(message.names);
        break;
      case "life":
        this.options.onLife?.(message.endsAt, message.cause);
        break;
      case "notice":
        this.options.onNotice?.(message.kind, message.message);
        break;
      case "error":
        this.error = message.message;
        break;
    }
  }

  /** Old output may still wait to be parsed: a state is only true once it is on the screen. */
  private afterShown(act: () => void): void {
    const socket = this.socket;
    this.options.sink.whenShown(() => {
      if (!this.stopped && (this.socket === socket || this.socket === null)) act();
    });
  }

  private goLive(): void {
    if (this.state.name === "exited" || this.state.name === "detached") return;
    this.become({ name: "live" });
    const { rows, columns } = this.options.size();
    this.resize(rows, columns);
  }

  private closed(code: number, reason: string): void {
    this.socket = null;
    this.options.sink.whenShown(() => this.settle(closeKind(code), this.error || reason));
  }

  private settle(kind: CloseKind, message: string): void {
    if (this.stopped || this.socket !== null || this.state.name === "exited" || this.state.name === "detached") return;
    if (kind === "log-gone") this.intake.forget();
    if (kind !== "retry" && kind !== "log-gone") {
      this.become({ name: "closed", kind, message });
      return;
    }
    const delayMs = this.backoff.next();
    this.become({ name: "reconnecting", delayMs });
    this.timer = setTimeout(() => this.open(), delayMs);
  }
}
