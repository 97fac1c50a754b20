/** Archives on pages: a file that is chosen is asked about and sent; one that is ready starts to download by itself. */

import htmx from "htmx.org";

import { ask, toast } from "./dialogs";
import { el } from "./dom";
import { post } from "./requests";
import { tarOf } from "./tar";
import { NotArrived, sendFile } from "./upload";
import { humanSize, say } from "./words";

const started = new Set<string>();

/** By the person who began it, who needs no sentence about it. */
class Stopped extends Error {}

export function startTransfers(): void {
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-choose-file]") : null;
    if (button !== null) document.getElementById(button.dataset["chooseFile"] ?? "")?.click();
  });
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement)) return;
    const act = input.dataset["restore"] !== undefined ? restore : input.dataset["put"] !== undefined ? put : null;
    if (act === null) return;
    const file = input.files?.[0];
    input.value = ""; // the same file may be chosen again
    if (file !== undefined) void act(input, file);
  });
  document.body.addEventListener("htmx:afterSettle", startDownloads);
}

function startDownloads(): void {
  for (const link of document.querySelectorAll<HTMLAnchorElement>("a[data-start-download]")) {
    if (started.has(link.href)) continue;
    started.add(link.href);
    link.click();
  }
}

async function restore(input: HTMLInputElement, file: File): Promise<void> {
  const name = input.dataset["name"] ?? "";
  const yes = await ask({
    title: say("restore-title", { name }),
    body: say("restore-body", { file: file.name, size: humanSize(file.size) }),
    action: say("restore-action"),
    danger: true,
  });
  const place = document.getElementById("volume-transfer");
  if (yes && place !== null) await carry(place, input.dataset["restore"] ?? "", {}, file, file.name, say("upload-lost"));
}

/** One file, or a tar to be unpacked, into a container. */
async function put(input: HTMLInputElement, file: File): Promise<void> {
  const place = document.getElementById("copy");
  const form = input.form;
  if (place === null || !form?.reportValidity()) return;
  const fields = new FormData(form);
  const plain = fields.get("plain") === null ? "0" : "1";
  const path = fields.get("path");
  const asked = { path: typeof path === "string" ? path : "", plain };
  await carry(place, input.dataset["put"] ?? "", asked, plain === "1" ? file : tarOf(file), file.name, say("put-lost"));
}

/** Ask for a place, send, have it taken up, and show how it is. */
async function carry(place: HTMLElement, where: string, asked: Record<string, string>, content: Blob, name: string, lost: string): Promise<void> {
  const begun = await post(where, asked);
  if (!begun.ok) {
    toast(begun.message, "error");
    return;
  }
  const { path, start, shown } = begun.body as { path: string; start: string; shown: string };
  try {
    await send(place, path, content, name);
  } catch (error) {
    place.replaceChildren();
    if (place.isConnected && !(error instanceof Stopped)) toast((error instanceof NotArrived && error.message) || lost, "error");
    return;
  }
  const taken = await post(start, asked);
  if (!taken.ok) toast(taken.message, "error");
  await htmx.ajax("get", shown, { target: place, swap: "innerHTML" });
}

/** Ends with the page's main part: who goes elsewhere breaks it off. */
async function send(place: HTMLElement, path: string, content: Blob, name: string): Promise<void> {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  const bar = el("progress", { class: "total", max: "100", "aria-label": say("uploading", { file: name }) });
  const text = el("p", { class: "text-sm" });
  let isStopped = false;
  const stopNow = (): void => {
    isStopped = true;
    socket.close();
  };
  const stop = el("button", { type: "button", class: "btn btn-sm", click: stopNow }, say("cancel"));
  const show = (bytes: number): void => {
    bar.value = content.size > 0 ? (100 * bytes) / content.size : 100;
    text.textContent = `${say("uploading", { file: name })} ${humanSize(bytes)} / ${humanSize(content.size)}`;
  };
  place.replaceChildren(el("section", { class: "card-plain" }, el("div", { class: "grid gap-3 p-4" }, text, bar, el("div", {}, stop))));
  show(0);
  try {
    await sendFile(socket, content, show, () => place.isConnected);
  } catch (error) {
    throw isStopped ? new Stopped() : error;
  }
}
