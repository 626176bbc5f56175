"""Fetches the survey's file from Kaggle, once; later calls read it from a folder of the user's cache.

Whatever the `kaggle` package does when something fails (it may print, raise or exit), the caller gets a `KaggleError`.
"""

import contextlib
import io
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from diabetes_risk_model.data.errors import KaggleError
from diabetes_risk_model.progress import step

DATASET = "alexteboul/diabetes-health-indicators-dataset"
FILE = "diabetes_binary_5050split_health_indicators_BRFSS2015.csv"
SHA256 = "873128ba0264d66a8b09bb6158f21fd4bedc10459d1ed5ecad3b94167a9539b4"

_MOST_BYTES = 100 * 1024 * 1024
_ANOTHER_WAY = (
    f"Check the credentials and the network; or download {FILE} from https://www.kaggle.com/datasets/{DATASET} "
    "and name it with --source PATH; or go on without it: --source embedded."
)


def has_credentials() -> bool:
    """Tell whether there are credentials that the `kaggle` package would use. Does not try them."""
    if os.environ.get("KAGGLE_API_TOKEN"):
        return True
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return True
    home = Path.home() / ".kaggle"
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    chosen = os.environ.get("KAGGLE_CONFIG_DIR")
    files = [Path(chosen) / "kaggle.json"] if chosen else [home / "kaggle.json", settings / "kaggle.json"]
    files += [home / name for name in ("access_token", "access_token.txt", "credentials.json")]
    return any(file.is_file() for file in files)


def fetch() -> Path:
    """Return the path of the survey's file, downloading it if the cache does not hold it.

    The cache is the folder named by DIABETES_DATA_CACHE, or `diabetes-risk-model` in the user's cache.

    Raises:
        KaggleError: if the `kaggle` package is missing, or if the download fails for any reason.
    """
    cached = _cache_folder() / FILE
    if cached.is_file():
        return cached
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # In the cache's own folder, so that the finished file can be moved into place in one step.
        with step("Fetching the survey from Kaggle"), tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            _download(Path(folder))
            _unpack(Path(folder)).replace(cached)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise KaggleError(
            f"The survey's file cannot be written to {cached.parent}: {reason}. Make the folder writable, "
            "or name another with DIABETES_DATA_CACHE."
        ) from error
    return cached


def _cache_folder() -> Path:
    chosen = os.environ.get("DIABETES_DATA_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diabetes-risk-model"


def _download(folder: Path) -> None:
    """Download into a folder, with the `kaggle` package kept from printing and from ending the process."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            from kaggle.api.kaggle_api_extended import KaggleApi

            api = KaggleApi()
            api.authenticate()
            api.dataset_download_file(DATASET, FILE, path=str(folder), force=True, quiet=True)
    except ImportError as error:
        raise KaggleError(
            "The survey cannot be fetched from Kaggle: the package kaggle is not installed. "
            'Run `pip install "signed-parameters[training]"`, or go on without it: --source embedded.'
        ) from error
    except SystemExit:
        raise KaggleError(
            "Kaggle needs credentials, and none were found or accepted. Set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and "
            f"KAGGLE_KEY, or run `kaggle auth login`. {_ANOTHER_WAY}"
        ) from None
    except Exception as error:
        # The text of the error can hold a signed address, so only its kind and status are shown. For the same
        # reason it is not chained.
        raise KaggleError(f"Fetching the survey from Kaggle failed: {_reason(error)}. {_ANOTHER_WAY}") from None


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"Kaggle refused the credentials (HTTP {status})"
    return f"Kaggle answered HTTP {status}" if status else f"no usable answer ({type(error).__name__})"


def _unpack(folder: Path) -> Path:
    """Return the downloaded file, taken out of its zip archive where Kaggle sent one."""
    downloaded = next((file for file in sorted(folder.iterdir()) if file.name in (FILE, f"{FILE}.zip")), None)
    if downloaded is None:
        raise KaggleError(f"Kaggle did not send {FILE}. {_ANOTHER_WAY}")
    if not zipfile.is_zipfile(downloaded):
        return downloaded
    unpacked = folder / "unpacked.csv"
    try:
        with zipfile.ZipFile(downloaded) as archive:
            if archive.getinfo(FILE).file_size > _MOST_BYTES:
                raise KaggleError(f"Kaggle sent a file of more than {_MOST_BYTES:,} bytes. {_ANOTHER_WAY}")
            with archive.open(FILE) as packed, unpacked.open("wb") as file:
                shutil.copyfileobj(packed, file)
    except (KeyError, zipfile.BadZipFile) as error:
        raise KaggleError(f"Kaggle sent an archive that is damaged or lacks {FILE}. {_ANOTHER_WAY}") from error
    return unpacked
