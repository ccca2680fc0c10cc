"""Shapes of the answers: what the documentation shows, and the status is checked against."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema

Instant = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2026-11-24T08:00:00.123456Z"]}
    ),
]
EntryId = Annotated[
    str,
    Field(
        description="identity and order of a tick, everywhere", examples=["1763971200123-466944"]
    ),
]
Price = Annotated[
    float, Field(description="with every digit that was published", examples=[723.02])
]
Exchange = Annotated[str, Field(examples=["NYSE"])]
StockName = Annotated[str, Field(examples=["TSLA"])]
Neighbour = Annotated[
    Literal["ok", "busy", "away", "unusable"],
    Field(
        description="busy: asked too much to say more; away: doesn't answer; unusable: answers, but"
        " not this, since a key or a table isn't as it must be (the log says which)"
    ),
]


class PricePoint(BaseModel):
    timestamp: Instant
    exchange_name: Exchange
    price: Price
    id: EntryId


class Stock(PricePoint):
    stock_name: StockName


class Stocks(BaseModel):
    stocks: list[Stock] = Field(description="the newest tick of each stock, by name")


class _OfARange(BaseModel):
    stock_name: StockName
    start_time: Instant | None = Field(description="null: from the beginning")
    end_time: Instant = Field(
        description="as asked for, else now, or just after the newest tick if that is later"
    )
    note: str | None = Field(
        description="which times had no offset and were read as UTC",
        examples=["no offset in start_time: read as UTC"],
    )


class Prices(_OfARange):
    prices: list[PricePoint] = Field(description="oldest first, unless asked otherwise")
    next_cursor: str | None = Field(description="with `limit`: where the next page begins, if any")


class Candle(BaseModel):
    start_time: Instant
    open: Price
    high: Price
    low: Price
    close: Price
    average: Price = Field(description="exact, of all its prices, with PostgreSQL's digits")
    count: int = Field(description="prices in it", examples=[190])


class Candles(_OfARange):
    interval: str = Field(examples=["1m"])
    candles: list[Candle] = Field(
        description="oldest first, those that begin in the range; none where there were no ticks,"
        " and the newest may still grow"
    )
    next_cursor: str | None = Field(description="where the next page begins, if there are more")


class Average(_OfARange):
    average: float | None = Field(
        description="exact, with PostgreSQL's digits; null of no prices",
        examples=[722.9871428571428571],
    )
    count: int = Field(description="prices in the range", examples=[7])


class Group(BaseModel):
    name: str = Field(examples=["writer"])
    lag_entries: int | None = Field(
        description="entries it has not acknowledged, read or not; null: Redis can't say"
    )
    lag_seconds: float = Field(
        description="age of the oldest entry it has not acknowledged; 0: there is none"
    )
    pending: int = Field(description="entries it has read and not acknowledged")
    consumers: int = Field(description="its readers; with shards, of the one that has the fewest")


class Stream(BaseModel):
    length: int = Field(description="entries kept now")
    appended: int = Field(description="entries appended ever")
    last_id: EntryId


class Gap(BaseModel):
    start_time: Instant
    end_time: Instant
    seconds: float
    reason: str


class Gaps(BaseModel):
    count: int
    last: Gap | None


class Replica(BaseModel):
    state: Literal["ok", "behind", "away"] = Field(
        description="behind: for more than 5 s, and only asked about days that are over"
    )
    lag_seconds: float | None = Field(
        description="for how long it has lacked what the primary had; null: it is away"
    )


class Status(BaseModel):
    redis: Neighbour = Field(description="if not ok, all below but last_row is null")
    postgres: Neighbour = Field(description="if not ok, last_row is null")
    groups: list[Group] | None
    stream: Stream | None
    last_row: Instant | None = Field(description="when the newest stored tick was received")
    bridge_gaps: Gaps | None = Field(description="times without a subscription: ticks were missed")
    dead_letters: dict[str, int] | None = Field(
        description="messages nobody could use, by where they were refused",
        examples=[{"bridge": 0, "forwarder": 0, "writer": 0}],
    )
    overrun: dict[str, int] | None = Field(
        description="entries that the stream's cap removed though the group needed them",
        examples=[{"forwarder": 0, "writer": 0}],
    )
    replica: Replica | None = Field(None, description="there only if the api has a replica")


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    postgres: Neighbour
    redis: Neighbour = Field(description="if not ok, only /api/status knows less")
