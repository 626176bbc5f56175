"""Promotion: from a training run to a commit that deploys it, with the signature checked at each step.

* `settings` -- the file that says where the registry, the packages, the Git repository and the stages are.
* `registry` -- MLflow's model registry, over its REST interface, trusted with nothing. `tags` are what versions carry.
* `tracking` -- `train --track`: sign, store and register a package. `runs` are what MLflow logs of it.
* `approval` -- verify a version, add the approver's signature, set the alias.
* `policies` -- the trust policy of a stage, as it was reviewed in Git, and how far back it lets a stage go.
* `packages` -- find, check and copy the package that a version's tags lead to.
* `rendering` -- the files of a stage's deployment. `record` is the one that says what was promoted.
* `git` -- Git's own program, and reading a commit. `repository` -- a branch elsewhere: fetch, commit, push. `ssh` says
  what it means when a host refuses.
* `stages` -- a stage as a commit has it, and whether its files follow from what was reviewed and promoted.
* `watcher` -- compare the registry with Git, and turn each change into a commit or a refusal. `refusals` wait.
* `check` -- tell whether a commit deploys what was reviewed and signed.
* `webhooks` -- the registry's messages, which wake the watcher.
* `heartbeat` -- the watcher's sign of life, for a probe.
* `commands` -- `diabetes-risk-model promote`, and by itself `python -m diabetes_risk_model.promotion`.
* `register_command` -- `promote register`, and what it shares with `train --track`.
* `local_registry` -- an MLflow server and an S3 server on this machine: `make registry`.
"""
