import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/**", "node_modules/**"] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js"] } } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      complexity: ["error", 14],
      "max-lines-per-function": ["error", { max: 80, skipBlankLines: true, skipComments: true }],
      "max-lines": ["error", 500],
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text is set as text; names and output are never parsed as HTML (WS-10)." },
        { property: "outerHTML", message: "Text is set as text; names and output are never parsed as HTML (WS-10)." },
      ],
      "no-restricted-imports": [
        "error",
        { patterns: [{ group: ["@xterm/*"], message: "Only terminal/view.ts knows xterm.js." }] },
      ],
    },
  },
  { files: ["src/terminal/view.ts", "tests/**"], rules: { "no-restricted-imports": "off", "max-lines-per-function": "off" } },
  { files: ["*.config.*"], ...tseslint.configs.disableTypeChecked },
);
