// What is read for: mistakes, markup out of strings, and the sizes that the Python has too.

import js from "@eslint/js";

const MARKUP = "A name may be markup: set text, make elements.";
const asMarkup = [
  "innerHTML",
  "outerHTML",
  "insertAdjacentHTML",
  "setHTMLUnsafe",
  "createContextualFragment",
];

export default [
  { ignores: ["web/vendor/", "**/node_modules/"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-undef": "off", // tsc knows the page's names and Node's, each where it is meant
      "no-unused-private-class-members": "off", // takes ||= for a write only; tsc doesn't
      "no-restricted-properties": [
        "error",
        ...asMarkup.map((property) => ({ property, message: MARKUP })),
        { object: "document", property: "write", message: MARKUP },
      ],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-console": "error",
      "no-shadow": "error",
      "no-var": "error",
      "prefer-const": "error",
      "array-callback-return": "error",
      "default-case-last": "error",
      eqeqeq: "error",
      "max-lines": ["error", 250],
      "max-lines-per-function": ["error", 40],
    },
  },
  { files: ["bench/**"], rules: { "max-lines-per-function": "off" } }, // one function holds the whole script
  { files: ["tests/web/**"], rules: { "no-loss-of-precision": "off" } }, // that is what they are about
];
