"""A mix-in for models of `ml_base`: their parameters come out of a signed package.

    class IrisModel(SignedParameters, MLModel):
        qualified_name = "iris"
        version = "0.1.0"
        ...

        def predict(self, data: Flower) -> Species:
            return Species(name=self.parameters.predict([[data.length, data.width]])[0])

    model = IrisModel(parameters_uri="s3://models/iris-0.1.0-1.zip", trust_policy="iris_policy.yaml")

In the configuration of `rest_model_service` the two keywords stand under the model's `configuration`.
"""

import os
from typing import Any

from signed_parameters.errors import ConfigurationError, NameMismatch
from signed_parameters.models import as_policy
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.statement import Statement
from signed_parameters.verification import verify_package
from signed_parameters.verified import VerifiedPackage


class SignedParameters:
    """Loads a model's parameters when the model is made. It stands in front of `MLModel` among the bases.

    The package must be this very model's: its name must be `qualified_name`, and its version `version`, unless the
    policy has a range of versions.

    Attributes:
        parameters: what `load_parameters` returned.
        statement: what the signer said of the package.
        key_ids: ids of the trusted keys that signed it.
    """

    qualified_name: str
    version: str
    parameters: Any
    statement: Statement
    key_ids: tuple[str, ...]

    def __init__(
        self, *, parameters_uri: str | os.PathLike[str], trust_policy: TrustPolicy | str | os.PathLike[str]
    ) -> None:
        """Fetch and verify the package, and load the parameters.

        Args:
            parameters_uri: address of the package, as for `verify_package`.
            trust_policy: what is demanded of it: a policy, or the path of a policy file.

        Raises:
            VerificationError: the package, or the model in it, is refused.
            StorageError: it could not be had.
            ConfigurationError: a value is not usable, or the policy is another model's.
        """
        policy = as_policy(trust_policy)
        if policy.name != self.qualified_name:
            raise ConfigurationError(
                f"the trust policy of {type(self).__name__} is another model's",
                expected=self.qualified_name,
                found=policy.name,
                remedy="Give the model the policy that names it.",
            )
        if not isinstance(parameters_uri, str | os.PathLike):
            raise ConfigurationError(
                "parameters_uri is not usable", expected="an address or a path", found=type(parameters_uri).__name__
            )
        with verify_package(parameters_uri, policy) as package:
            if not policy.version and package.statement.version != self.version:
                raise NameMismatch(
                    f"the package is for another version of {type(self).__name__}",
                    expected=self.version,
                    found=package.statement.version,
                    remedy="Deploy the code that belongs to it, or put a range of versions into the policy.",
                )
            self.statement = package.statement
            self.key_ids = package.key_ids
            self.parameters = self.load_parameters(package)

    def load_parameters(self, package: VerifiedPackage) -> Any:
        """Return the parameters: by default the package's only model. Override it to read more, or something else.

        Args:
            package: verified, and open until this returns.
        """
        return package.load_model()
