"""Who may predict: passwords are exchanged for tokens that expire, and a request needs such a token.

Nothing of this is imported where the configuration has no `authentication`.

* `settings` -- the key `authentication` of the configuration file.
* `passwords` -- hash passwords with Argon2id, and check a bounded number of them at once.
* `users` -- the users file: read strictly, written whole or not at all. `watching` reads it again when it changes.
* `tokens` -- issue and verify JSON Web Tokens.
* `throttle` -- slow down guessing.
* `guard` -- decide on a request's Authorization header.
* `endpoint` -- POST /api/token. `form` reads what it is sent.
* `attachment` -- put these together, and add them to an application.
* `commands` -- `diabetes-risk-model users`.
"""
