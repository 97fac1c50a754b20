/** A running pull, drawn from its events: the stack of layers fills. Rows that are not there yet come from the server. */

import htmx from "htmx.org";

import { percent } from "../command/messages";
import { DONE, layersOf, totals, type LayerNow } from "./layers";
import { onLive, type LiveEvent } from "./live";
import { paced } from "./paced";
import { humanSize } from "./words";

export function startProgress(): void {
  onLive((event) => {
    if (!event.topic.startsWith("job.")) return;
    for (const card of document.querySelectorAll<HTMLElement>(`[data-topic="${CSS.escape(event.topic)}"]`)) {
      if (card.hasAttribute("hx-get")) update(card, event);
      else drawTotal(card, layersOf(event["progress"]));
    }
  });
}

const refresh = paced((id) => {
  const card = document.getElementById(id);
  if (card !== null) htmx.trigger(card, "refresh", {});
}, 300);

function update(card: HTMLElement, event: LiveEvent): void {
  if (event["state"] !== "running" && event["state"] !== "queued") return; // what holds the cards hears of the end too
  const layers = layersOf(event["progress"]);
  const drawn = layers.every((layer) => rowOf(card, layer.id) !== null);
  if (layers.length === 0 || !drawn) {
    refresh(card.id);
    return;
  }
  for (const layer of layers) drawLayer(card, layer);
  drawTotal(card, layers);
}

function rowOf(card: HTMLElement, id: string): HTMLElement | null {
  return card.querySelector<HTMLElement>(`[data-layer="${CSS.escape(id)}"]`);
}

function drawLayer(card: HTMLElement, layer: LayerNow): void {
  const share = DONE.has(layer.status) ? 100 : percent(layer.current, layer.total);
  for (const part of card.querySelectorAll<HTMLElement>(`[data-layer="${CSS.escape(layer.id)}"], [data-slab="${CSS.escape(layer.id)}"]`)) {
    part.style.setProperty("--fill", `${share.toFixed(1)}%`);
    part.toggleAttribute("data-done", share === 100 && DONE.has(layer.status));
  }
  const row = rowOf(card, layer.id);
  const status = row?.querySelector("[data-status]");
  if (status) status.textContent = layer.status;
  const size = row?.querySelector("[data-size]");
  if (size) size.textContent = sizes(layer);
}

function sizes(layer: LayerNow): string {
  if (DONE.has(layer.status) || layer.current === 0) return layer.total > 0 ? humanSize(layer.total) : "";
  return `${humanSize(layer.current)} / ${humanSize(layer.total)}`;
}

function drawTotal(card: HTMLElement, layers: readonly LayerNow[]): void {
  if (layers.length === 0) return;
  const { current, total } = totals(layers);
  const bar = card.querySelector<HTMLProgressElement>("[data-total]");
  if (bar) bar.value = percent(current, total);
  const text = card.querySelector("[data-total-text]");
  if (text) text.textContent = `${humanSize(current)} / ${humanSize(total)}`;
}
