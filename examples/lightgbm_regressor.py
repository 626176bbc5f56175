"""A model of your own, signed and served: a LightGBM regressor on the diabetes data that scikit-learn brings.

Run it anywhere: `python examples/lightgbm_regressor.py`. It writes to a folder `signed_models` where you are.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import signed_parameters as sp

FOLDER = Path("signed_models")
NAME, VERSION = "progression", "0.1.0"


def train() -> tuple[lightgbm.LGBMRegressor, np.ndarray, np.ndarray]:
    """Train on three quarters of the rows; return the model, and the rows and the target of the rest."""
    rows, target = load_diabetes(return_X_y=True)
    train_rows, test_rows, train_target, test_target = train_test_split(rows, target, random_state=0)
    model = lightgbm.LGBMRegressor(n_estimators=80, learning_rate=0.05, num_leaves=7, verbose=-1)
    return model.fit(train_rows, train_target), test_rows, test_target


def sign(model: lightgbm.LGBMRegressor, key: sp.SigningKey) -> str:
    """The training side."""
    version = datetime.now(UTC).strftime("%Y_%m_%d_%H%M%S")
    return sp.sign_model(model, FOLDER, key=key, name=NAME, version=VERSION, parameters_version=version)


def load(uri: str, public_key: str) -> lightgbm.LGBMRegressor:
    """The serving side: all that it needs of the other is the public key."""
    policy = sp.TrustPolicy(name=NAME, keys=[sp.VerificationKey.parse(public_key)])
    return sp.load_model(uri, policy)


def tamper(uri: str) -> None:
    """Change one bit of the package, as somebody with access to the storage could."""
    data = bytearray(Path(uri).read_bytes())
    data[len(data) // 2] ^= 1
    Path(uri).write_bytes(data)


def main() -> int:
    """Train, sign, load, predict; then tamper, and see the package refused."""
    model, rows, target = train()
    key = sp.SigningKey.generate()
    uri = sign(model, key)
    print(f"signed   {uri}")

    loaded = load(uri, str(key.verification_key))
    predictions = loaded.predict(rows)
    print(
        f"loaded   mean error {np.abs(predictions - target).mean():.1f} on {len(rows)} rows, as before signing:",
        "yes" if np.array_equal(predictions, model.predict(rows)) else "NO",
    )

    tamper(uri)
    try:
        load(uri, str(key.verification_key))
    except sp.VerificationError as error:
        print(f"refused  {error}")
        return 0
    print("the tampered package was loaded")
    return 1


if __name__ == "__main__":
    sys.exit(main())
