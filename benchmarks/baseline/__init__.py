"""THE DESIGN TO BEAT, for comparison only: never serve this, and never copy from it.

It is how a first attempt at "signed model parameters" looks: the whole pycaret pipeline is pickled, the pickle is
signed inline with itsdangerous' default `Signer`, and the service unpickles it without any limit on what it may call.
The service needs pycaret to unpickle it. The signature binds neither name nor version, and whoever holds the secret
can run code in the service. `benchmarks.serving` measures what all that costs.

* `build` -- train the pipeline and sign it.
* `model` -- the model class that `rest_model_service` serves.
"""
