/** Requests that are not htmx's. */

import { say } from "./words";

export function csrfToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
}

export type Answer = { ok: true; body: unknown } | { ok: false; message: string };

export async function post(path: string, fields: Record<string, string> | string[][]): Promise<Answer> {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "X-CSRFToken": csrfToken(), Accept: "application/json" },
      body: new URLSearchParams(fields),
    });
    const body: unknown = await response.json().catch(() => null);
    if (response.ok) return { ok: true, body };
    return { ok: false, message: sentenceOf(body) ?? say("went-wrong", { status: response.status }) };
  } catch {
    return { ok: false, message: say("no-answer") };
  }
}

function sentenceOf(body: unknown): string | null {
  if (typeof body !== "object" || body === null) return null;
  const fields = body as Record<string, unknown>;
  const sentence = fields["error"] ?? fields["message"];
  return typeof sentence === "string" ? sentence : null;
}
