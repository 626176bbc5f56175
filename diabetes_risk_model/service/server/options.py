"""What the configuration file may say of connections and of the end of the service."""

from pydantic import BaseModel, ConfigDict, Field


class ConnectionLimits(BaseModel):
    """What clients may hold of one process, before a request and after it. `RequestLimits` are for the time between.

    Attributes:
        most: connections that are served. Beyond them requests get 503, and beyond twice as many connections are cut.
        head_seconds: longest time from a connection, or a first byte, to the end of a request's head.
        head_bytes: largest head of a request.
        idle_seconds: longest time between two requests. It has to be longer than that of the proxy in front, which
            otherwise sends requests on connections that are just being closed. Common proxies have 60 seconds.
        answer_seconds: longest time that a client takes to read what was sent.
        backlog: connections that the kernel keeps until they are accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    most: int = Field(default=1_000, ge=1)
    head_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    head_bytes: int = Field(default=32_768, ge=1_024)
    idle_seconds: int = Field(default=75, ge=1)
    answer_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    backlog: int = Field(default=2_048, ge=1)


class ShutdownTimes(BaseModel):
    """What happens between SIGTERM and the end.

    Attributes:
        drain_seconds: how long everything is still answered, while the readiness probe says no. It has to be as long
            as it takes until no new request is sent here.
        request_seconds: how long requests that are under way after that may take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    drain_seconds: float = Field(default=3.0, ge=0, allow_inf_nan=False)
    request_seconds: int = Field(default=20, ge=0)
