"""What a mail address may look like, and a header's text, at the vendors that take mail as JSON."""

import re

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[a-z0-9-]+")
BREAK = re.compile(r"[\r\n\0]")  # a header's text is one line
