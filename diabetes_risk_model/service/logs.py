"""Log lines as JSON objects, with the id of the request that they belong to.

In the configuration, under `logging`:

    formatters:
      json:
        (): diabetes_risk_model.service.logs.JsonFormatter
"""

import json
import logging
import traceback
from datetime import UTC, datetime

from diabetes_risk_model.service.observation import REQUEST_ID


class JsonFormatter(logging.Formatter):
    """Writes each record as one line of JSON. Nothing in a record can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = REQUEST_ID.get()
        if request_id is not None:
            line["request_id"] = request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info is not None and record.exc_info[0] is not None:
            # Without the exception's own text, which may hold what a patient answered.
            line["exception"] = record.exc_info[0].__name__
            line["traceback"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line)
