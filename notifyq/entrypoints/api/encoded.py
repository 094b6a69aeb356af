"""Routes whose path names what may hold a slash: it is told from the path's own by its encoding."""

from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.routing import Match, Route
from starlette.types import Scope


class EncodedRoute(Route):
    """A route that looks at the path as it was sent: `/v1/recipients/a%2Fb` is about `a/b`.

    What a path parameter has in it that is no UTF-8 comes as lone surrogates.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether it is about this request, with its path parameters, decoded."""
        raw = scope.get("raw_path")
        if raw is None:  # a server may leave it out
            return super().matches(scope)
        parts = raw.partition(b"?")[0].split(b"/")
        # Written in one way first: what need not be encoded may be.
        path = "/".join(quote(unquote_to_bytes(part), safe="") for part in parts)
        match, child = super().matches({**scope, "path": path})
        if match is not Match.NONE:
            found = child["path_params"].items()
            child["path_params"] = {
                name: unquote(value, errors="surrogateescape") for name, value in found
            }
        return match, child
