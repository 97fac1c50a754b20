/** What sessionStorage keeps of the dock: read with suspicion, another version may have written it. */

import { parseTarget } from "../terminal/target";

export interface SavedDock {
  readonly height: number;
  readonly maximised: boolean;
  readonly collapsed: boolean;
  readonly active: string;
  readonly terminals: readonly string[]; // names of targets
}

export function parseSaved(json: string | null): SavedDock | null {
  if (json === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const fields = value as Record<string, unknown>;
  const listed: unknown[] = Array.isArray(fields["terminals"]) ? fields["terminals"] : [];
  const terminals = listed.filter((name): name is string => typeof name === "string" && parseTarget(name) !== null);
  const height = typeof fields["height"] === "number" ? fields["height"] : 320;
  return {
    height: Math.min(Math.max(height, 140), 4000),
    maximised: fields["maximised"] === true,
    collapsed: fields["collapsed"] === true,
    active: typeof fields["active"] === "string" ? fields["active"] : "",
    terminals: [...new Set(terminals)],
  };
}
