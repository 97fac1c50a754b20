/** Words for people come from the server's catalog (`dashboard/pages/words.py`), as JSON in the page. */

let words: Record<string, string> = {};

export function loadWords(): void {
  const source = document.getElementById("words")?.textContent;
  if (source) words = JSON.parse(source) as Record<string, string>;
}

/** The sentence for a key, with `{name}` replaced. An unknown key shows itself: the tests look for that. */
export function say(key: string, values: Record<string, string | number> = {}): string {
  return fill(words[key] ?? key, values);
}

/** A sentence that stands in the page, with its `{name}`s replaced. */
export function fill(sentence: string, values: Record<string, string | number>): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** 1000-based with up to four significant digits, as Docker prints sizes. */
export function humanSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

export function ago(then: Date, now: Date, language: string): string {
  const seconds = Math.max(0, (now.getTime() - then.getTime()) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: "always" });
  const step = STEPS.find(([, length]) => seconds >= length);
  if (step === undefined) return say("just-now");
  return format.format(-Math.floor(seconds / step[1]), step[0]);
}

export function tickTimes(root: ParentNode = document): void {
  const now = new Date();
  for (const node of root.querySelectorAll<HTMLTimeElement>("time[data-ago]")) {
    const text = ago(new Date(node.dateTime), now, document.documentElement.lang);
    if (node.textContent !== text) node.textContent = text;
  }
}
