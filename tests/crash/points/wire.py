"""Words between a child and the slot that forked it: JSON lines, one pipe each way."""

import asyncio
import json
import os
import select
from typing import Any

ASKING_S = 0.003  # between two looks for an answer, while the loop goes on


class Wire:
    """The child's end."""

    def __init__(self, up: int, down: int) -> None:
        self._up, self._down = up, down
        self._asked = 0
        self._raw = b""
        self._answers: dict[int, dict[str, Any]] = {}

    def tell(self, **said: Any) -> None:
        """Say something; it is out when this returns, even if the next line is the last."""
        line = json.dumps(said).encode() + b"\n"
        while line:
            line = line[os.write(self._up, line) :]

    def ask(self, want: str, **about: Any) -> dict[str, Any]:
        """Have the slot do something; this whole process stands still until it is done."""
        number = self._ask(want, about)
        while number not in self._answers:
            self._read()
        return self._answers.pop(number)

    async def ask_meanwhile(self, want: str, **about: Any) -> dict[str, Any]:
        """The same, with the loop going on; what is asked beside it has answers of its own."""
        number = self._ask(want, about)
        while number not in self._answers:
            if select.select([self._down], [], [], 0)[0]:
                self._read()
            else:
                await asyncio.sleep(ASKING_S)
        return self._answers.pop(number)

    def _ask(self, want: str, about: dict[str, Any]) -> int:
        self._asked += 1
        self.tell(want=want, number=self._asked, **about)
        return self._asked

    def _read(self) -> None:
        piece = os.read(self._down, 65_536)
        if not piece:
            os._exit(9)  # the slot has gone
        *lines, self._raw = (self._raw + piece).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self._answers[answer["number"]] = answer
