/** The layers of a running pull, as its events tell of them: pure. */

export interface LayerNow {
  id: string;
  status: string;
  current: number;
  total: number;
}

export const DONE = new Set(["Pull complete", "Already exists"]);

export function layersOf(progress: unknown): LayerNow[] {
  if (typeof progress !== "object" || progress === null) return [];
  const layers = (progress as { layers?: unknown }).layers;
  if (!Array.isArray(layers)) return [];
  return layers.filter((layer): layer is LayerNow => typeof (layer as LayerNow | null)?.id === "string");
}

/** Bytes done and bytes in all; a layer that is extracting has been downloaded. */
export function totals(layers: readonly LayerNow[]): { current: number; total: number } {
  let current = 0;
  let total = 0;
  for (const layer of layers) {
    total += layer.total;
    current += DONE.has(layer.status) ? layer.total : Math.min(layer.current, layer.total);
  }
  return { current, total };
}
