/** htmx in our frame: links swap `#main` only, parts are morphed in place, errors become sentences. */

import htmx from "htmx.org";
import { Idiomorph } from "idiomorph/dist/idiomorph.esm.js";

import { csrfToken } from "./requests";
import { ask, toast, undoIn, type Tone } from "./dialogs";
import { byId } from "./dom";
import { resubscribe } from "./live";
import { PICKS } from "./selection";
import { say, tickTimes } from "./words";

interface HtmxDetail {
  xhr: XMLHttpRequest;
  elt: Element;
  target: Element;
  shouldSwap: boolean;
  isError: boolean;
  headers: Record<string, string>;
  question: string;
  issueRequest: (skip: boolean) => void;
  boosted?: boolean;
  history: { type: string; path: string };
  requestConfig?: { boosted?: boolean };
}

const on = (name: string, act: (event: Event, detail: HtmxDetail) => void): void =>
  document.body.addEventListener(name, (event) => act(event, (event as CustomEvent<HtmxDetail>).detail));

export function startNavigation(): void {
  htmx.config.allowEval = false;
  htmx.config.includeIndicatorStyles = false;
  htmx.config.selfRequestsOnly = true;
  htmx.config.historyCacheSize = 0; // pages are live: going back asks again
  htmx.config.disableInheritance = true; // only what the body says with hx-inherit; parts name their own target
  htmx.config.scrollBehavior = "auto";
  htmx.config.globalViewTransitions = false;
  defineMorph();
  on("htmx:configRequest", (_event, detail) => {
    detail.headers["X-CSRFToken"] = csrfToken();
  });
  on("htmx:confirm", (event, detail) => confirmFirst(event, detail));
  on("htmx:beforeSwap", (_event, detail) => beforeSwap(detail));
  on("htmx:afterSwap", (_event, { target }: Partial<HtmxDetail>) => {
    if (target?.id === "main") arrived(); // going back swaps too, without saying what
  });
  on("htmx:afterSettle", () => {
    resubscribe();
    tickTimes();
  });
  on("htmx:historyRestore", () => arrived());
  on("htmx:pushedIntoHistory", () => markPlace());
  on("htmx:beforeHistoryUpdate", (_event, { target, history: update }) => {
    // A list that was left before its filter was answered: the address is the new page's.
    if (update.type === "replace" && !target.isConnected) update.path = location.pathname + location.search;
  });
  on("htmx:afterRequest", (_event, { elt, xhr }) => {
    if (elt instanceof HTMLFormElement && elt.hasAttribute("data-reset") && xhr.status < 300) elt.reset();
  });
  on("htmx:sendError", () => toast(say("no-answer"), "error"));
  document.body.addEventListener("toast", (event) => showToast((event as CustomEvent<unknown>).detail));
  markPlace();
}

/** Keeps the nodes that stay, so that what is being read, clicked or typed in does not move. */
function defineMorph(): void {
  htmx.defineExtension("morph", {
    isInlineSwap: (style: string) => style.startsWith("morph"),
    handleSwap: (style: string, target: Node, fragment: Node) => {
      if (!style.startsWith("morph")) return false;
      const morphStyle = style === "morph:innerHTML" ? "innerHTML" : "outerHTML";
      return Idiomorph.morph(target as Element, (fragment as DocumentFragment).children, {
        morphStyle,
        ignoreActiveValue: true,
        callbacks: {
          beforeNodeMorphed: (old: Node) => !(old instanceof Element && old.hasAttribute("data-keep")),
          beforeAttributeUpdated: (name: string, node: Element) => !isPersons(name, node),
        },
      });
    },
  });
}

/** What the person has opened or picked: the server does not know of it. */
function isPersons(name: string, node: Element): boolean {
  return (name === "open" && node instanceof HTMLDetailsElement) || (name === "checked" && node.matches(PICKS));
}

function confirmFirst(event: Event, detail: HtmxDetail): void {
  const source = detail.elt.closest<HTMLElement>("[data-confirm]");
  if (source === null) return;
  event.preventDefault();
  const { confirm = "", confirmBody = "", confirmAction = "", confirmDanger } = source.dataset;
  void ask({ title: confirm, body: confirmBody, action: confirmAction || say("ok"), danger: confirmDanger !== undefined }).then(
    (yes) => {
      if (yes) detail.issueRequest(true);
    },
  );
}

/** An error page is shown where the page would be; anything else becomes a toast with its sentence. */
function beforeSwap(detail: HtmxDetail): void {
  const { xhr } = detail;
  if (xhr.status < 400) return;
  const isPage = detail.target.id === "main" && xhr.responseText.includes('id="main"');
  const isForm = xhr.status === 422;
  if (isPage || isForm) {
    detail.shouldSwap = true;
    detail.isError = false;
    return;
  }
  if (xhr.getResponseHeader("HX-Trigger")?.includes("toast")) return;
  toast(sentenceIn(xhr) ?? say("went-wrong", { status: xhr.status }), "error");
}

function sentenceIn(xhr: XMLHttpRequest): string | null {
  if (xhr.getResponseHeader("Content-Type")?.startsWith("application/json")) {
    const body = JSON.parse(xhr.responseText) as { error?: string; message?: string };
    return body.error ?? body.message ?? null;
  }
  const text = xhr.responseText.trim();
  if (text === "" || text.length > 1000) return null;
  return text.startsWith("<") ? new DOMParser().parseFromString(text, "text/html").body.textContent.trim() : text;
}

function showToast(detail: unknown): void {
  if (typeof detail !== "object" || detail === null) return;
  const fields = detail as Record<string, unknown>;
  const message = fields["message"] ?? fields["value"];
  const tone: Tone = fields["tone"] === "success" || fields["tone"] === "info" ? fields["tone"] : "error";
  if (typeof message === "string") toast(message, tone, undoIn(fields["undo"]));
}

function arrived(): void {
  const main = byId("main");
  main?.scrollTo(0, 0);
  main?.focus({ preventScroll: true });
  markPlace();
  document.body.dispatchEvent(new CustomEvent("berth:page"));
}

/** Which entry of the rail stands for this page. */
function markPlace(): void {
  const here = location.pathname;
  for (const link of document.querySelectorAll<HTMLAnchorElement>("[data-nav]")) {
    const root = new URL(link.href).pathname;
    if (root === "/" ? here === "/" : here.startsWith(root)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
