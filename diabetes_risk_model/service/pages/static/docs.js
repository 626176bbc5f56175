"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  domNode: document.getElementById("contract"),
  deepLinking: true,
  displayRequestDuration: true,
  showCommonExtensions: true,
  showExtensions: true,
});
