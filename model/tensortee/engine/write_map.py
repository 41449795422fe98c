# SPDX-License-Identifier: Apache-2.0
"""Which lines of an epoch are written, so that no line is encrypted twice under one (key, IV, counter)."""

from __future__ import annotations

from tensortee.engine.registers import FaultCause

WORD_LINES = 64
_FULL = (1 << WORD_LINES) - 1


class WriteMap:
    """One bit for each line, in a window of words of 64 lines that begins with the oldest incomplete word.

    Args:
        words: words in the window.
    """

    def __init__(self, words: int) -> None:
        self._reach = words
        self._oldest = 0
        self._words: dict[int, int] = {}

    def clear(self) -> None:
        """Forget all lines: a new epoch."""
        self._oldest = 0
        self._words.clear()

    def request(self, line: int, count: int) -> FaultCause:
        """Mark `count` lines (1 .. 64) from `line` on, or say why none of them is marked.

        The window moves over complete words as far as the burst needs, even if the burst is refused then.
        """
        span = (1 << count) - 1 << line % WORD_LINES
        first, last = line // WORD_LINES, (line + count - 1) // WORD_LINES
        while True:
            if first < self._oldest:
                return FaultCause.REWRITE
            if last - self._oldest < self._reach:
                break
            if self._words.get(self._oldest) != _FULL:
                return FaultCause.ORDER
            del self._words[self._oldest]
            self._oldest += 1
        parts = {first: span & _FULL}
        if last != first:
            parts[last] = span >> WORD_LINES
        if any(self._words.get(word, 0) & lines for word, lines in parts.items()):
            return FaultCause.REWRITE
        for word, lines in parts.items():
            self._words[word] = self._words.get(word, 0) | lines
        return FaultCause.NONE
