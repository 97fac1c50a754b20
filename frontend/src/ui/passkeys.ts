/** Passkeys: a button has the browser make or show one, and posts its answer with the button's form (WebAuthn, level 3). */

import { toast } from "./dialogs";
import { say } from "./words";

export function startPasskeys(): void {
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>("button[data-passkey]") : null;
    if (!button?.form) return;
    event.preventDefault();
    if (button.form.reportValidity()) void answer(button, button.form);
  });
}

/** `make`: a new one; `show`: one of those of the person who signs in; `enter`: whichever says who it is. */
async function answer(button: HTMLButtonElement, form: HTMLFormElement): Promise<void> {
  button.disabled = true;
  try {
    const kind = button.dataset["passkey"];
    const options = kind === "enter" ? await fetched(form.action) : written();
    const credential = kind === "make" ? await make(options) : await show(options);
    const field = form.elements.namedItem("credential");
    if (credential === null || !(field instanceof HTMLInputElement)) return;
    field.value = JSON.stringify(credential);
    form.submit();
  } catch (error) {
    const isRefusal = error instanceof DOMException && error.name === "NotAllowedError";
    toast(isRefusal ? say("passkey-refused") : say("passkey-failed"), "error");
  } finally {
    button.disabled = false;
  }
}

function written(): unknown {
  return JSON.parse(document.getElementById("passkey-options")?.textContent ?? "");
}

async function fetched(address: string): Promise<unknown> {
  const response = await fetch(address, { headers: { Accept: "application/json", "X-Requested-With": "XMLHttpRequest" } });
  if (!response.ok) throw new Error(String(response.status));
  return ((await response.json()) as { request_options: unknown }).request_options;
}

/** Browsers before 2024 have no `parse…`: then this throws, and the sentence says to take another one. */
function make(options: unknown): Promise<Credential | null> {
  const { publicKey } = options as { publicKey: PublicKeyCredentialCreationOptionsJSON };
  return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
}

function show(options: unknown): Promise<Credential | null> {
  const { publicKey } = options as { publicKey: PublicKeyCredentialRequestOptionsJSON };
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
}
