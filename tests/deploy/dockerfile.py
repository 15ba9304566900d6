"""A strict reader of the small part of the Dockerfile language that this project uses; anything else is refused."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

KEYWORDS = frozenset(
    {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, with its continuation lines joined.

    Attributes:
        keyword: in capitals.
        flags: ``--from=build`` as ``{"from": "build"}``.
        text: what follows the flags, as written.
    """

    keyword: str
    flags: Mapping[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments as a shell would split them."""
        return shlex.split(self.text)

    @property
    def executed(self) -> list[str]:
        """The command of the exec form, a JSON list; ValueError for the shell form, whose shell would eat signals."""
        found = json.loads(self.text)
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            raise ValueError(f"{self.keyword} {self.text}: not a list of words")
        return found


@dataclass(frozen=True, slots=True)
class Stage:
    """What follows one FROM.

    Attributes:
        base: the image it starts from, with arguments filled in.
        name: what follows AS; empty without.
        instructions: in order, without the FROM.
    """

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[Instruction]:
        """Return every instruction with this keyword."""
        return [found for found in self.instructions if found.keyword == keyword]

    def only(self, keyword: str) -> Instruction:
        """Return the one instruction with this keyword; ValueError when there is none or are several."""
        (found,) = self.all(keyword)
        return found

    def pairs(self, keyword: str) -> dict[str, str]:
        """Return the ``name=value`` pairs of ENV or LABEL."""
        words = [word for found in self.all(keyword) for word in found.words]
        return dict(word.split("=", 1) for word in words)


def stages(file: Path) -> list[Stage]:
    """Read a Dockerfile.

    Raises:
        ValueError: an instruction that this reader does not know, or one before the first FROM that is no ARG.
    """
    defaults: dict[str, str] = {}
    found: list[Stage] = []
    for instruction in _instructions(file.read_text("utf-8")):
        if instruction.keyword == "FROM":
            base, _, stage = Template(instruction.text).substitute(defaults).partition(" AS ")
            found.append(Stage(base, stage, ()))
        elif found:
            last = found[-1]
            found[-1] = Stage(last.base, last.name, (*last.instructions, instruction))
        elif instruction.keyword == "ARG":
            name, _, value = instruction.text.partition("=")
            defaults[name] = value
        else:
            raise ValueError(f"{instruction.keyword} before FROM")
    return found


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [_instruction(line) for line in joined.splitlines()]


def _instruction(line: str) -> Instruction:
    keyword, _, rest = line.partition(" ")
    if keyword not in KEYWORDS:
        raise ValueError(f"{keyword}: not an instruction of this reader")
    flags: dict[str, str] = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        flags[match[1]] = match[2]
        rest = rest[match.end() :]
    if rest.startswith("--"):
        raise ValueError(f"{keyword} {rest}: not a flag of this reader")
    return Instruction(keyword, flags, rest.strip())
