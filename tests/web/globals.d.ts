// What the vendored scripts put on the page beside its modules.

declare global {
  var Centrifuge: typeof import("centrifuge").Centrifuge;
  var LightweightCharts: typeof import("lightweight-charts");
  var SwaggerUIBundle: (options: {
    url: string;
    dom_id: string;
    deepLinking: boolean;
    validatorUrl: null;
  }) => unknown;
}

export {};
