"""What settings are made of: names, URLs, seconds, and secrets that are never values in a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Seconds = Annotated[float, Field(gt=0, le=604_800)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")]


def _with_port(bind: str) -> str:
    if int(bind.rpartition(":")[2]) > 65_535:
        raise PydanticCustomError("port", "the port must be 65535 or less")
    return bind


Bind = Annotated[str, Field(pattern=r"^[^\s]+:[0-9]{1,5}$"), AfterValidator(_with_port)]


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EnvSecret(Table):
    """A secret held by an environment variable."""

    env: str

    def reveal(self, environ: Mapping[str, str]) -> str:
        """Return the secret; KeyError when the variable is not set."""
        return environ[self.env]


class FileSecret(Table):
    """A secret held by a file; a last newline does not count."""

    file: str

    def reveal(self, _: Mapping[str, str]) -> str:
        """Return the secret; OSError when the file cannot be read."""
        return Path(self.file).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")


Secret = EnvSecret | FileSecret
