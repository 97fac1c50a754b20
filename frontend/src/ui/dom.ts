/** Elements from values: text is always set as text. */

type Child = Node | string | null | false;
type Attributes = Record<string, string | boolean | null | ((event: Event) => void)>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (typeof value === "string") node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${document.body.dataset["icons"] ?? "/static/icons.svg"}#${name}`);
  svg.append(use);
  return svg;
}

export function iconButton(name: string, label: string, onClick: (event: Event) => void): HTMLButtonElement {
  return el("button", { type: "button", class: "icon-button", title: label, "aria-label": label, click: onClick }, icon(name));
}

export function byId(id: string): HTMLElement | null {
  return document.getElementById(id);
}
