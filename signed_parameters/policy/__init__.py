"""The trust policy: what the serving side demands of a package.

* `trust_policy`: the policy itself.
* `file`: reads it from YAML. `document`: what may stand there, and its JSON Schema.
"""
