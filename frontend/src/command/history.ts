/** Lines typed before, newest last. */

const KEY = "berth.command.history";
const KEEP = 100;

export class History {
  private lines: string[];
  private place: number;

  constructor(private readonly storage: Pick<Storage, "getItem" | "setItem"> = sessionStorage) {
    this.lines = (storage.getItem(KEY) ?? "").split("\n").filter(Boolean);
    this.place = this.lines.length;
  }

  add(line: string): void {
    this.lines = [...this.lines.filter((other) => other !== line), line].slice(-KEEP);
    this.place = this.lines.length;
    this.storage.setItem(KEY, this.lines.join("\n"));
  }

  previous(): string | null {
    if (this.place === 0) return null;
    this.place -= 1;
    return this.lines[this.place] ?? null;
  }

  next(): string {
    this.place = Math.min(this.place + 1, this.lines.length);
    return this.lines[this.place] ?? "";
  }
}
