// The api's documentation page: Swagger UI on the api's own description.

globalThis.SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // by default it would show the description to somebody else's server
});
