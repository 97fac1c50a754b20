/**
 * While a terminal has focus every key belongs to the shell, except one chord that leaves it. Ctrl-Alt-Home: no shell
 * sends it, no browser takes it, and remote desktops have used it to leave a session for twenty years.
 */
export const LEAVE_CHORD = "Ctrl+Alt+Home";

type Chord = Pick<KeyboardEvent, "ctrlKey" | "altKey" | "shiftKey" | "metaKey" | "key">;

export function isLeaveChord(event: Chord): boolean {
  return event.ctrlKey && event.altKey && !event.shiftKey && !event.metaKey && event.key === "Home";
}

/** Ctrl-K (or Cmd-K) opens the command bar, but never out of a terminal. */
export function isCommandChord(event: Chord, target: EventTarget | null): boolean {
  if (target instanceof Element && target.closest(".xterm") !== null) return false;
  return (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k";
}
