"""Settings: the environment (PINRAIL_*) and the command line, read once into one frozen value."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from core.errors import CannotStart

DAY_S = 86_400
DEFAULT_DATA = Path(__file__).resolve().parent.parent / "data" / "state"


class Settings(BaseSettings):
    """Everything that can be set. Each field is the environment variable PINRAIL_<FIELD IN CAPITALS>."""

    model_config = SettingsConfigDict(env_prefix="PINRAIL_", frozen=True, extra="ignore")

    database_url: str | None = Field(None, description="The store; the embedded SQLite file in data_dir when not set.")
    data_dir: Path = Field(DEFAULT_DATA, description="Folder for the embedded store and the gateways' table copies.")
    host: str = Field("127.0.0.1", description="Address to listen on; 127.0.0.1 keeps everything on this machine.")
    port: int = Field(8501, ge=0, le=65535, description="Port of the dashboard and the API.")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Port of the gateway.")
    gateway_name: str = Field("gateway-1", description="Name of this gateway in receipts; give each replica its own.")
    recorded_port: int = Field(8090, ge=0, le=65535, description="Port of the demo's recorded provider.")
    demo: bool = Field(True, description="Write the demo workspace into an empty embedded store at first start.")
    max_body_bytes: int = Field(10 * 2**20, gt=0, le=2**31, description="Largest request body the gateway takes.")
    connect_timeout_s: float = Field(
        5.0, gt=0, le=DAY_S, description="Seconds the gateway waits for a provider's connection."
    )
    answer_timeout_s: float = Field(
        60.0, gt=0, le=DAY_S, description="Seconds the gateway waits for an answer to begin."
    )
    idle_timeout_s: float = Field(
        120.0, gt=0, le=DAY_S, description="Seconds of silence after which an answer counts as cut."
    )
    outcome_queue: int = Field(20_000, gt=0, le=10**7, description="Outcomes the gateway keeps before it counts drops.")
    minimum_dwell_s: float = Field(
        600.0, ge=0, le=366 * DAY_S, description="Seconds a version must serve to be a proven target."
    )
    keep_windows_days: int = Field(30, gt=0, le=3660, description="Days that traffic windows are kept.")
    secure_cookies: bool = Field(False, description="Send the session cookie over HTTPS only; set behind TLS.")
    public_url: str | None = Field(None, description="Address people reach the dashboard at, for links in messages.")

    @classmethod
    def read(cls, **given: object) -> Self:
        """The settings of this process: what was given on the command line wins over the environment."""
        try:
            return cls(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as fault:
            first = fault.errors()[0]
            name = "PINRAIL_" + "_".join(str(part) for part in first["loc"]).upper()
            raise CannotStart(f"{name} cannot be {first['input']!r}: {first['msg']}.") from fault

    @property
    def embedded(self) -> bool:
        """True while the store is Pinrail's own SQLite file."""
        return self.database_url is None

    @property
    def store_url(self) -> str:
        """The address of the store, embedded or not."""
        if self.database_url is not None:
            return self.database_url
        path = str(self.data_dir.resolve() / "pinrail.db")
        return URL.create("sqlite", database=path).render_as_string(hide_password=False)

    @property
    def minimum_dwell(self) -> timedelta:
        """How long a version must have served to be a proven rollback target."""
        return timedelta(seconds=self.minimum_dwell_s)

    @property
    def on_loopback(self) -> bool:
        """True while nobody from outside this machine can connect."""
        return self.host in ("127.0.0.1", "localhost", "::1")
