declare module "idiomorph/dist/idiomorph.esm.js" {
  interface MorphConfig {
    morphStyle?: "innerHTML" | "outerHTML";
    ignoreActiveValue?: boolean;
    callbacks?: {
      beforeNodeMorphed?: (old: Node, fresh: Node) => boolean;
      beforeAttributeUpdated?: (name: string, node: Element, how: "update" | "remove") => boolean;
    };
  }
  export const Idiomorph: { morph(target: Element, fresh: HTMLCollection, config: MorphConfig): Node[] };
}
