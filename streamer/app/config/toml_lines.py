"""The line of each key of a TOML text, which neither tomllib nor tomlkit gives.

A tree-sitter grammar would, for two more compiled packages, and would leave headers and arrays to be resolved.
"""

import re
import tomllib

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r'''
      """ (?: \\. | [^\\] )*? "{3,5}  |  \'\'\' .*? \'{3,5}     # up to two quotes may stand before the closing three
    | " (?: \\. | [^"\\\n] )* "       |  ' [^'\n]* '
    | \# [^\n]*
    | [\n\[\]{}=,.]
    | [^\s\[\]{}=,."'\#]+
    ''',
    re.DOTALL | re.VERBOSE,
)


def key_lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each table, key and list element of a text that tomllib has read without fault.

    A path is the keys and indices of the value in tomllib's result: ``("osc", 0, "map", 1, "out")``. The line of a
    table is that of its header, or of its first mention.
    """
    return _Scan(text).lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._tokens: list[tuple[str, int]] = []
        line, seen = 1, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", seen, match.start())
            seen = match.start()
            if not match[0].startswith("#"):
                self._tokens.append((match[0], line))
        self._tokens.append(("\n", line))
        self._at = 0
        self._counts: dict[Path, int] = {}
        self._statements()

    def _statements(self) -> None:
        table: Path = ()
        while self._at < len(self._tokens):
            if self._take_if("\n"):
                continue
            if self._take_if("["):
                table = self._header(array=self._take_if("["))
            else:
                self._pair(table)

    def _header(self, array: bool) -> Path:
        line = self._line
        keys = self._keys("]")
        if array:
            self._take_if("]")
        path: Path = ()
        for key in keys[:-1]:
            path = self._newest((*path, key))
            self.lines.setdefault(path, line)
        path = (*path, keys[-1])
        if array:
            self.lines.setdefault(path, line)
            self._counts[path] = self._counts.get(path, 0) + 1
            path = self._newest(path)
        self.lines[path] = line
        return path

    def _newest(self, path: Path) -> Path:
        """The path of the newest table of an array of tables; any other path as it is."""
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _pair(self, path: Path) -> None:
        line = self._line
        for key in self._keys("="):
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._value(path)

    def _value(self, path: Path) -> None:
        self.lines.setdefault(path, self._line)
        if self._take_if("["):
            index = 0
            while not self._take_if("]"):
                if not (self._take_if("\n") or self._take_if(",")):
                    self._value((*path, index))
                    index += 1
        elif self._take_if("{"):
            while not self._take_if("}"):
                if not (self._take_if("\n") or self._take_if(",")):
                    self._pair(path)
        else:
            while self._tokens[self._at][0] not in {"\n", ",", "]", "}"}:
                self._at += 1

    def _keys(self, end: str) -> list[str]:
        keys = []
        while not self._take_if(end):
            token = self._tokens[self._at][0]
            self._at += 1
            if token != ".":
                keys.append(tomllib.loads(f"key = {token}")["key"] if token[0] in "\"'" else token)
        return keys

    def _take_if(self, token: str) -> bool:
        taken = self._tokens[self._at][0] == token
        self._at += taken
        return taken

    @property
    def _line(self) -> int:
        return self._tokens[self._at][1]
