/**
 * Events of the server become DOM events on the body: `live:<topic>`. Parts of a page name theirs in hx-trigger;
 * a part that shows one thing names its topic in data-topic (several with spaces between) so that the socket
 * subscribes to it.
 */

import { Backoff } from "../terminal/flow";
import { toast } from "./dialogs";
import { paced } from "./paced";
import { say } from "./words";

const ALWAYS = ["containers", "jobs", "images"];

export type LiveEvent = Record<string, unknown> & { topic: string };
type Listener = (event: LiveEvent) => void;

const listeners = new Set<Listener>();
let socket: WebSocket | null = null;
let known = "";
const extra = new Map<string, number>();
const backoff = new Backoff();

export function onLive(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Keep a topic subscribed while something outside the page's main part (a terminal) needs it. */
export function hold(topic: string): () => void {
  extra.set(topic, (extra.get(topic) ?? 0) + 1);
  resubscribe();
  return () => {
    const left = (extra.get(topic) ?? 1) - 1;
    if (left > 0) extra.set(topic, left);
    else extra.delete(topic);
  };
}

function wanted(): string[] {
  const named = [...document.querySelectorAll<HTMLElement>("[data-topic]")].flatMap((node) => (node.dataset["topic"] ?? "").split(" "));
  return [...new Set([...ALWAYS, ...named.filter(Boolean), ...extra.keys()])].sort();
}

export function resubscribe(): void {
  const topics = wanted();
  const key = topics.join(" ");
  if (socket?.readyState !== 1 || key === known) return;
  known = key;
  socket.send(JSON.stringify({ t: "subscribe", topics }));
}

export function connectLive(): void {
  const url = new URL("/ws/live", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(url);
  socket = opened;
  let wasOpen = false;
  opened.onopen = () => {
    wasOpen = true;
    known = "";
    backoff.reset();
    resubscribe();
    if (document.body.dataset["live"] === "lost") for (const topic of wanted()) announce({ topic });
    document.body.dataset["live"] = "on";
  };
  opened.onmessage = (event: MessageEvent<string>) => receive(event.data);
  opened.onclose = (event) => {
    socket = null;
    document.body.dataset["live"] = "lost";
    if (event.code === 4401 && wasOpen) location.reload();
    if (event.code === 4401 || event.code === 4403) return;
    setTimeout(connectLive, backoff.next());
  };
}

function receive(data: string): void {
  const message = JSON.parse(data) as Record<string, unknown>;
  if (message["t"] === "told") tell(message["what"] as Record<string, string>);
  if (message["t"] === "event" || typeof message["topic"] === "string") announce(message as LiveEvent);
}

/** Something for the person, whatever page they are at. */
function tell(what: Record<string, string>): void {
  if (what["t"] === "life") warn(what);
  if (what["t"] !== "answer") return;
  const isYes = what["answer"] === "approved";
  const image = what["image"] ?? "";
  const sentence = isYes ? say("answer-yes", { image }) : say("answer-no", { image });
  toast(what["said"] ? `${sentence} ${what["said"]}` : sentence, isYes ? "success" : "info");
}

/** A container of this person is near its end. */
function warn(what: Record<string, string>): void {
  const { id = "", name = "" } = what;
  const sentence = what["cause"] === "idle" ? say("life-warned-idle", { name }) : say("life-warned", { name });
  toast(sentence, "info", { path: `/containers/${id}/extend/`, label: say("extend"), keys: [] });
}

function announce(event: LiveEvent): void {
  for (const listener of listeners) listener(event);
  refresh(event.topic);
}

/** At once, then at most every 600 ms, and never without the last one: a part must not keep an old state. */
const refresh = paced((topic) => document.body.dispatchEvent(new CustomEvent(`live:${topic}`)), 600);
