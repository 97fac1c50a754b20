/** The frames of /ws/command, and the parts of a command's output: pure. */

export type CommandMessage =
  | { t: "out" | "err"; text: string }
  | { t: "screen"; text: string }
  | { t: "progress"; id: string; status: string; current: number; total: number }
  | { t: "stream"; path: string; container: string; tty: boolean; interactive: boolean; proxiesSignals: boolean; title: string }
  | { t: "ask"; prompt: string; secret: boolean }
  | { t: "exit"; code: number };

type Fields = Record<string, unknown>;
const text = (fields: Fields, name: string): string => (typeof fields[name] === "string" ? fields[name] : "");
const count = (fields: Fields, name: string): number => (typeof fields[name] === "number" ? fields[name] : 0);

export function parseCommandMessage(json: string): CommandMessage | null {
  const value: unknown = JSON.parse(json);
  if (typeof value !== "object" || value === null) return null;
  const fields = value as Fields;
  switch (fields["t"]) {
    case "out":
    case "err":
    case "screen":
      return { t: fields["t"], text: text(fields, "text") };
    case "progress":
      return {
        t: "progress",
        id: text(fields, "id"),
        status: text(fields, "status"),
        current: count(fields, "current"),
        total: count(fields, "total"),
      };
    case "stream":
      return {
        t: "stream",
        path: text(fields, "path"),
        container: text(fields, "container"),
        tty: fields["tty"] === true,
        interactive: fields["interactive"] === true,
        proxiesSignals: fields["sig_proxy"] === true,
        title: text(fields, "title"),
      };
    case "ask":
      return { t: "ask", prompt: text(fields, "prompt"), secret: fields["secret"] === true };
    case "exit":
      return { t: "exit", code: count(fields, "code") };
    default:
      return null;
  }
}

const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])|[\x00-\x08\x0b-\x1f\x7f]/g;

/** Output of a program without a terminal, for a page: no colours, no control characters but tab and line feed. */
export function plainText(output: string): string {
  return output.replace(/\r\n/g, "\n").replace(ESCAPES, "");
}

export function percent(current: number, total: number): number {
  return total > 0 ? Math.min(100, Math.max(0, (100 * current) / total)) : 0;
}
