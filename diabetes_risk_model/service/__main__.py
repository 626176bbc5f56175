"""Runs the service: `REST_CONFIG=... python -m diabetes_risk_model.service`."""

import os
import signal

if __name__ == "__main__":
    # The first process of a container has no default for SIGTERM, and what follows takes its time to import.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    from diabetes_risk_model.service.server.command import main

    main()
