"""Features of a flight: the weather at its origin, and how late its carrier, route and airport ran lately.

Every source carries the time from which a row was known, so Feast's point-in-time join never looks ahead.
`TURNOUT_FEATURE_SOURCES` names the directory of the tables: the featurise component sets it, so that
features come from the same data revision as the flights.
"""

import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

SOURCES = Path(os.environ.get("TURNOUT_FEATURE_SOURCES", Path(__file__).parent.parent / "data" / "flights")).absolute()


def table(name: str) -> FileSource:
    return FileSource(name=name, path=str(SOURCES / f"{name}.parquet"), timestamp_field="event_timestamp")


def numbers(*names: str) -> list[Field]:
    return [Field(name=name, dtype=Float64) for name in names]


origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING, description="IATA code of departure")
dest = Entity(name="dest", join_keys=["dest"], value_type=ValueType.STRING, description="IATA code of arrival")
carrier = Entity(
    name="carrier", join_keys=["carrier"], value_type=ValueType.STRING, description="IATA code of the carrier"
)

weather = FeatureView(
    name="weather",
    entities=[origin],
    ttl=timedelta(hours=6),
    schema=numbers("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"),
    source=table("weather"),
    online=False,
)
carrier_delays = FeatureView(
    name="carrier_delays",
    entities=[carrier],
    ttl=timedelta(days=7),
    schema=numbers("carrier_late_1d", "carrier_late_7d"),
    source=table("carrier_delays"),
    online=False,
)
route_delays = FeatureView(
    name="route_delays",
    entities=[origin, dest],
    ttl=timedelta(days=28),
    schema=numbers("route_late_1d", "route_late_28d"),
    source=table("route_delays"),
    online=False,
)
airport_delays = FeatureView(
    name="airport_delays",
    entities=[origin],
    ttl=timedelta(hours=24),
    schema=numbers("left_late_2h", "left_late_6h"),
    source=table("airport_delays"),
    online=False,
)

flight_delay = FeatureService(name="flight_delay", features=[weather, carrier_delays, route_delays, airport_delays])
