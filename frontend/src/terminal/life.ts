/** The line above a terminal while the container is near its end. It is no part of the screen: nothing is written there. */

import { toast } from "../ui/dialogs";
import { el, icon } from "../ui/dom";
import { post } from "../ui/requests";
import { say } from "../ui/words";

const LOOK_MS = 5000;

/** "12 min", and in the last minutes seconds. */
export function left(endsAt: string, now: number): string {
  const seconds = Math.max(0, Math.round((Date.parse(endsAt) - now) / 1000));
  return seconds >= 120 ? say("life-minutes", { n: Math.ceil(seconds / 60) }) : say("life-seconds", { n: seconds });
}

export class LifeLine {
  readonly element = el("div", { class: "terminal-life", role: "status", hidden: true });
  private readonly words = el("span", {});
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly container: () => string) {
    const extend = el("button", { type: "button", class: "btn btn-xs", click: () => void this.extend() }, say("extend"));
    this.element.append(icon("clock"), this.words, extend);
  }

  /** `endsAt` "": it goes on. */
  show(endsAt: string, cause: string): void {
    clearInterval(this.timer);
    this.element.hidden = endsAt === "";
    if (endsAt === "") return;
    const draw = (): void => {
      const time = left(endsAt, Date.now());
      this.words.textContent = cause === "idle" ? say("life-idle", { time }) : say("life-ends", { time });
    };
    draw();
    this.timer = setInterval(draw, LOOK_MS);
  }

  private async extend(): Promise<void> {
    const answer = await post(`/containers/${this.container()}/extend/`, {});
    if (!answer.ok) toast(answer.message, "error");
  }
}
