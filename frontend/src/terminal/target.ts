/** What a terminal shows, pure: a container's own program (`<64 hex>`), or a further command in one (`exec:<64 hex>`). */

export interface Target {
  readonly kind: "container" | "exec";
  readonly id: string;
}

const NAME = /^(exec:)?([0-9a-f]{64})$/;
const PATH = /^\/ws\/(terminals|execs)\/([0-9a-f]{64})(\?[^#]*)?$/;

export function parseTarget(name: string): Target | null {
  const found = NAME.exec(name);
  if (found?.[2] === undefined) return null;
  return { kind: found[1] === undefined ? "container" : "exec", id: found[2] };
}

export function targetName(target: Target): string {
  return target.kind === "exec" ? `exec:${target.id}` : target.id;
}

/** Only a stream of our own server is opened, whatever a frame says: null for any other address. */
export function targetOfPath(path: string): Target | null {
  const found = PATH.exec(path);
  if (found?.[2] === undefined) return null;
  return { kind: found[1] === "execs" ? "exec" : "container", id: found[2] };
}

export function streamPath(target: Target, query: string): string {
  return `/ws/${target.kind === "exec" ? "execs" : "terminals"}/${target.id}?${query}`;
}

export function pagePath(target: Target): string {
  return target.kind === "exec" ? `/terminals/exec/${target.id}/` : `/terminals/${target.id}/`;
}
