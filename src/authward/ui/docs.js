// Deferred scripts and modules run in the order of the page: Swagger UI is there already.
const place = document.getElementById("api");

globalThis.SwaggerUIBundle({
  domNode: place,
  url: new URL(place.dataset.document, document.baseURI).href,
  // Without the standalone preset there is no top bar in which to type another document's address.
  layout: "BaseLayout",
  deepLinking: true,
  // The page shows one fixed document: an address in the query must not load another.
  queryConfigEnabled: false,
  // The validator is a service elsewhere.
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
});
