"""The pages that people open in a browser. Each works with no internet, and below any path of a proxy.

* `headers` -- what a page's document may do.
* `assets` -- files that are read once, and kept by browsers.
* `site` -- a page and its assets, as paths of the application.
* `documentation` -- /docs and /redoc, by the scripts of the package fastapi-offline.
* `trial` -- /try, where a person answers the model's four questions.

`static` holds their HTML, styles and scripts, as they are served: nothing is built.
"""
