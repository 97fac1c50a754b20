/** Archives on pages: a file that is chosen is asked about and sent; one that is ready starts to download by itself. */

import htmx from "htmx.org";

import { ask, toast } from "./dialogs";
import { el } from "./dom";
import { post } from "./requests";
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
    if (!(input instanceof HTMLInputElement) || input.dataset["restore"] === undefined) return;
    const file = input.files?.[0];
    input.value = ""; // the same file may be chosen again
    if (file !== undefined) void restore(input, file);
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
  if (!yes || place === null) return;
  const begun = await post(input.dataset["restore"] ?? "", {});
  if (!begun.ok) {
    toast(begun.message, "error");
    return;
  }
  const { path, start, shown } = begun.body as { path: string; start: string; shown: string };
  try {
    await send(place, path, file);
  } catch (error) {
    place.replaceChildren();
    if (place.isConnected && !(error instanceof Stopped)) toast((error instanceof NotArrived && error.message) || say("upload-lost"), "error");
    return;
  }
  const asked = await post(start, {});
  if (!asked.ok) toast(asked.message, "error");
  await htmx.ajax("get", shown, { target: "#volume-transfer", swap: "innerHTML" });
}

/** Ends with the page's main part: who goes elsewhere breaks it off. */
async function send(place: HTMLElement, path: string, file: File): Promise<void> {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  const bar = el("progress", { class: "total", max: "100", "aria-label": say("uploading", { file: file.name }) });
  const text = el("p", { class: "text-sm" });
  let isStopped = false;
  const stopNow = (): void => {
    isStopped = true;
    socket.close();
  };
  const stop = el("button", { type: "button", class: "btn btn-sm", click: stopNow }, say("cancel"));
  const show = (bytes: number): void => {
    bar.value = file.size > 0 ? (100 * bytes) / file.size : 100;
    text.textContent = `${say("uploading", { file: file.name })} ${humanSize(bytes)} / ${humanSize(file.size)}`;
  };
  place.replaceChildren(el("section", { class: "card-plain" }, el("div", { class: "grid gap-3 p-4" }, text, bar, el("div", {}, stop))));
  show(0);
  try {
    await sendFile(socket, file, show, () => place.isConnected);
  } catch (error) {
    throw isStopped ? new Stopped() : error;
  }
}
