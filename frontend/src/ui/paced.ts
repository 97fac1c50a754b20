/** Calls `act` for a key at once, then at most once every `gapMs`, the last call never being left out: pure but for time. */
export function paced(act: (key: string) => void, gapMs: number): (key: string) => void {
  const waiting = new Map<string, boolean>(); // a key whose gap runs; true: asked again meanwhile
  const open = (key: string): void => {
    act(key);
    waiting.set(key, false);
    setTimeout(() => {
      const again = waiting.get(key) === true;
      waiting.delete(key);
      if (again) open(key);
    }, gapMs);
  };
  return (key) => {
    if (waiting.has(key)) waiting.set(key, true);
    else open(key);
  };
}
