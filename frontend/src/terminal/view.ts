/** The screen: the only module that knows xterm.js. */

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon, type ISearchDecorationOptions } from "@xterm/addon-search";
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { WebglAddon } from "@xterm/addon-webgl";
import { Terminal, type ITheme } from "@xterm/xterm";

import { copyPlain } from "../ui/clipboard";
import type { OutputFrame } from "./frames";
import { isLeaveChord } from "./keys";
import type { Sink } from "./session";

const FONT = '"JetBrains Mono", "Nanum Gothic Coding", ui-monospace, monospace';

const DARK: ITheme = {
  background: "#0e1416",
  foreground: "#e6edee",
  cursor: "#5ec8c0",
  cursorAccent: "#0e1416",
  selectionBackground: "#2b5560",
  black: "#1c2529",
  red: "#ff8a80",
  green: "#8fd694",
  yellow: "#f0c674",
  blue: "#8ab8ff",
  magenta: "#d7a6f2",
  cyan: "#6fd3cb",
  white: "#d5dddf",
  brightBlack: "#8b989c",
  brightRed: "#ffb0a8",
  brightGreen: "#b4e8b7",
  brightYellow: "#ffe0a0",
  brightBlue: "#b5d2ff",
  brightMagenta: "#e8c8fa",
  brightCyan: "#a3e8e2",
  brightWhite: "#ffffff",
};
const CONTRAST: ITheme = { ...DARK, background: "#000000", foreground: "#ffffff", cursor: "#ffffff", black: "#000000" };

const MATCHES: ISearchDecorationOptions = {
  matchBackground: "#4d4413",
  matchOverviewRuler: "#f0c674",
  activeMatchBackground: "#7a5a00",
  activeMatchBorder: "#f0c674",
  activeMatchColorOverviewRuler: "#f0c674",
};

/** `at` counts from 1, the oldest first; 0 when too many were found to say. */
export interface Found {
  readonly at: number;
  readonly count: number;
}

export interface Screen {
  readonly rows: number;
  readonly columns: number;
  readonly lines: readonly string[];
}

export interface ViewOptions {
  readonly label: string;
  readonly fontSize: number;
  readonly readOnly: boolean;
  readonly contrast: boolean;
  readonly skipMark: (bytes: number) => string;
  readonly onInput: (bytes: Uint8Array) => void;
  readonly onTitle: (title: string) => void;
  readonly onLink: (address: string) => void;
  readonly onLeave: () => void;
  readonly onFound: (found: Found | null) => void;
}

export class TerminalView implements Sink {
  private readonly terminal: Terminal;
  private readonly fitter = new FitAddon();
  private readonly search = new SearchAddon();
  private webgl: WebglAddon | null = null;
  private readonly fontsLoaded = (): void => this.webgl?.clearTextureAtlas();

  constructor(
    private readonly host: HTMLElement,
    private readonly options: ViewOptions,
  ) {
    this.terminal = new Terminal({
      allowProposedApi: true, // the unicode add-on
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      disableStdin: options.readOnly,
      fontFamily: FONT,
      fontSize: options.fontSize,
      lineHeight: 1.15,
      scrollback: 10_000,
      theme: options.contrast ? CONTRAST : DARK,
      minimumContrastRatio: options.contrast ? 7 : 1,
      // Links that a program names itself (OSC 8): http and https only, and a person says yes first.
      linkHandler: { allowNonHttpProtocols: false, activate: (_event, address) => options.onLink(address) },
      // Reports of window state and the clipboard sequence (OSC 52) stay off: windowOptions is empty and no add-on is loaded.
      windowOptions: {},
    });
    this.load();
  }

  /** The fonts must be there before cells are measured. */
  static async fontsReady(fontSize: number): Promise<void> {
    const wanted = [`${fontSize}px "JetBrains Mono"`, `bold ${fontSize}px "JetBrains Mono"`];
    await Promise.race([
      Promise.allSettled(wanted.map((font) => document.fonts.load(font))),
      new Promise((resolve) => setTimeout(resolve, 1500)),
    ]);
  }

  write(frame: OutputFrame, consumed: () => void): void {
    this.terminal.write(frame.payload, consumed);
  }

  replaySize(rows: number, columns: number): void {
    if (rows < 1 || columns < 1 || rows > 1000 || columns > 2000) return;
    this.whenShown(() => this.terminal.resize(columns, rows));
  }

  skipped(bytes: number): void {
    this.terminal.write(`\x1bc\x1b[2m── ${this.options.skipMark(bytes)} ──\x1b[0m\r\n`); // RIS: modes set in the gap are unknown
  }

  whenShown(then: () => void): void {
    this.terminal.write("", then);
  }

  /** Output of a program without a terminal has bare line feeds. */
  setTty(tty: boolean): void {
    this.terminal.options.convertEol = !tty;
  }

  size(): { rows: number; columns: number } {
    return { rows: this.terminal.rows, columns: this.terminal.cols };
  }

  fit(): boolean {
    const wanted = this.fitter.proposeDimensions();
    if (wanted === undefined || Number.isNaN(wanted.cols) || Number.isNaN(wanted.rows)) return false;
    const { rows, columns } = this.size();
    if (wanted.cols === columns && wanted.rows === rows) return false;
    this.terminal.resize(Math.max(wanted.cols, 2), Math.max(wanted.rows, 1));
    return true;
  }

  focus(): void {
    this.terminal.focus();
  }

  blur(): void {
    this.terminal.blur();
  }

  setFontSize(pixels: number): void {
    this.terminal.options.fontSize = pixels;
  }

  /** To the next match from the one that is marked: `up` to older lines. Without a mark it begins at the newest line. */
  find(text: string, up: boolean): void {
    if (up) this.search.findPrevious(text, { decorations: MATCHES });
    else this.search.findNext(text, { decorations: MATCHES });
  }

  /** The newest match of what has been typed so far. */
  findNewest(text: string): void {
    this.terminal.clearSelection();
    if (text === "") this.endSearch();
    else this.find(text, true);
  }

  endSearch(): void {
    this.search.clearDecorations();
    this.options.onFound(null);
  }

  get selection(): string {
    return this.terminal.getSelection();
  }

  paste(text: string): void {
    this.terminal.paste(text);
  }

  /** What is on the screen and above it, as text. */
  text(): string {
    const buffer = this.terminal.buffer.active;
    const lines: string[] = [];
    for (let row = 0; row < buffer.length; row += 1) {
      const line = buffer.getLine(row);
      if (line === undefined) continue;
      const content = line.translateToString(true);
      if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += content;
      else lines.push(content);
    }
    return lines.join("\n").trimEnd();
  }

  /** The screen itself, without what lies above it. */
  shownScreen(): Screen {
    const { rows, cols, buffer } = this.terminal;
    const { active } = buffer;
    const line = (row: number): string => active.getLine(active.baseY + row)?.translateToString(true) ?? "";
    return { rows, columns: cols, lines: Array.from({ length: rows }, (_, row) => line(row)) };
  }

  dispose(): void {
    document.fonts.removeEventListener("loadingdone", this.fontsLoaded);
    this.terminal.dispose();
  }

  private load(): void {
    const { terminal, options } = this;
    terminal.loadAddon(this.fitter);
    terminal.loadAddon(this.search);
    this.search.onDidChangeResults(({ resultIndex, resultCount }) => options.onFound({ at: resultIndex + 1, count: resultCount }));
    terminal.loadAddon(new UnicodeGraphemesAddon());
    terminal.loadAddon(new WebLinksAddon((_event, address) => options.onLink(address)));
    terminal.open(this.host);
    terminal.textarea?.setAttribute("aria-label", options.label);
    this.loadWebgl();
    document.fonts.addEventListener("loadingdone", this.fontsLoaded); // Hangul comes in parts; the atlas keeps fallbacks
    const encoder = new TextEncoder();
    terminal.onData((data) => options.onInput(encoder.encode(data)));
    terminal.onBinary((data) => options.onInput(Uint8Array.from(data, (char) => char.charCodeAt(0))));
    terminal.onTitleChange((title) => options.onTitle(title));
    terminal.attachCustomKeyEventHandler((event) => this.handleKey(event));
  }

  private loadWebgl(): void {
    try {
      const webgl = new WebglAddon();
      webgl.onContextLoss(() => {
        webgl.dispose(); // xterm.js goes on with its DOM renderer
        this.webgl = null;
      });
      this.terminal.loadAddon(webgl);
      this.webgl = webgl;
    } catch {
      this.webgl = null;
    }
  }

  /** False keeps a key from the shell: only the leave chord, and the terminal's own copy and paste. */
  private handleKey(event: KeyboardEvent): boolean {
    if (isLeaveChord(event)) {
      event.preventDefault();
      if (event.type === "keydown") this.options.onLeave();
      return false;
    }
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
    if (event.code === "KeyV") return false; // the browser's own paste event follows
    if (event.code !== "KeyC") return true;
    event.preventDefault();
    if (event.type === "keydown" && this.selection !== "") void copyPlain(this.selection);
    return false;
  }
}
