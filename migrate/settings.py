"""MigrateSettings: the owner's address, and what the schema has from the environment."""

from pydantic import Field, PositiveInt, SecretStr

from pipeline.settings import PostgresSettings


class MigrateSettings(PostgresSettings):
    """POSTGRES_DSN is the owner's here."""

    postgres_writer_password: SecretStr = Field(description="password of the role writer")
    postgres_api_password: SecretStr = Field(description="password of the role api")
    postgres_vector_password: SecretStr = Field(description="password of the role vector")
    postgres_grafana_password: SecretStr = Field(description="password of the role grafana")
    postgres_replica_password: SecretStr | None = Field(
        None, description="password of the role replica, who may copy the server; none: nobody may"
    )
    retention_days: PositiveInt = Field(
        365, le=36500, description="days for which ticks are kept; candles stay"
    )

    def passwords(self) -> dict[str, str | None]:
        """Role → password; None: it has none from now on, and nobody is that role."""
        replica = self.postgres_replica_password
        return {
            "writer": self.postgres_writer_password.get_secret_value(),
            "api": self.postgres_api_password.get_secret_value(),
            "vector": self.postgres_vector_password.get_secret_value(),
            "grafana": self.postgres_grafana_password.get_secret_value(),
            "replica": replica.get_secret_value() if replica else None,
        }
