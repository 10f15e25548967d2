"""From the words of the command line to values, by the tables of ``options.py``.

Options may stand anywhere, before or after the command and between its arguments; ``--`` ends them. Options are never
guessed from abbreviations. This is no argparse parser: that one cannot take options between the PATHs of ``create R::A
P1 -e X P2``, and importing it and building its parsers takes longer than most of what ``bork list`` does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from bork.cli.commands import COMMANDS, GROUPS, NOT_AVAILABLE
from bork.cli.options import COMMON, Command, Option, Positional
from bork.errors import NotAvailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bork.cli.patterns import Rules


class BadArguments(Exception):
    """The command line does not follow the grammar. ``command``: how usage errors name the program."""

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class CommandLine(NamedTuple):
    """The command line, cut at its command. ``command`` is empty if there is none."""

    command: str
    words: tuple[str, ...]  # without the command; common options in front of it come first
    version: bool = False


class Values(dict[str, object]):
    """The values of all options and positionals of one command, by ``dest``. ``deprecated``: warnings to show."""

    def __init__(self) -> None:
        super().__init__()
        self.deprecated: list[str] = []

    def text(self, dest: str) -> str:
        value = self[dest]
        assert isinstance(value, str)
        return value

    def optional(self, dest: str) -> str | None:
        value = self.get(dest)
        assert value is None or isinstance(value, str)
        return value

    def flag(self, dest: str) -> bool:
        return bool(self.get(dest))

    def number(self, dest: str) -> int:
        value = self.get(dest) or 0
        assert isinstance(value, int)
        return value

    def texts(self, dest: str) -> list[str]:
        value = self.get(dest) or []
        assert isinstance(value, list)
        return value


def split_command(words: Sequence[str]) -> CommandLine:
    """Find the command behind the common options, and move those behind it, where the last one wins."""
    front: list[str] = []
    rest = list(words)
    command = ""
    by_flag = _by_flag(COMMON)
    while rest:
        word = rest.pop(0)
        if word in ("-V", "--version"):
            return CommandLine("", (), version=True)
        if not word.startswith("-") or word == "-":
            command = f"{command} {word}".strip()
            if command not in GROUPS:
                break
            continue
        front.append(word)
        flag = by_flag.get(word) or by_flag.get(f"-{word[-1]}" if not word.startswith("--") else word)
        if flag is not None and flag.takes_value and rest:
            front.append(rest.pop(0))
    return CommandLine(command, tuple(front + rest))


def require_known(command: str) -> None:
    """Raises NotAvailable for what only Borg has, BadArguments for what nobody has."""
    if command in COMMANDS or command in GROUPS:
        return
    first, _, second = command.partition(" ")
    if first in NOT_AVAILABLE or command in NOT_AVAILABLE:
        raise NotAvailable(f'The command "bork {command}"')
    if second:
        known = [name.partition(" ")[2] for name in COMMANDS if name.startswith(f"{first} ")]
        raise BadArguments(f"argument <command>: invalid choice: {second!r} (choose from {', '.join(known)})", first)
    known = list(dict.fromkeys(name.partition(" ")[0] for name in COMMANDS))
    raise BadArguments(f"argument <command>: invalid choice: {first!r} (choose from {', '.join(known)})")


def parse(command: Command, words: Sequence[str], rules: Rules | None = None) -> Values:
    """The values of ``words``. ``help`` in the result means that nothing else was looked at.

    ``rules`` receives what pattern options say, in their order. Raises BadArguments, and what pattern files raise.
    """
    return _Parser(command, rules).parse(words)


class _Parser:
    def __init__(self, command: Command, rules: Rules | None) -> None:
        self.command = command
        self.rules = rules
        self.options = COMMON + command.all_options()
        self.by_flag = _by_flag(self.options)
        self.values = Values()
        self.given: dict[str, Option] = {}

    def parse(self, words: Sequence[str]) -> Values:
        for option in self.options:
            self.values.setdefault(option.dest, option.default if option.takes_value or option.default else False)
            if option.repeats:
                self.values[option.dest] = []
        arguments = list(self._take_options(words))
        if self.values["help"]:
            return self.values
        unknown = [word for word, is_option in arguments if is_option]
        for dest in self.command.required:
            if dest not in self.given:
                option = next(option for option in self.options if option.dest == dest)
                self._fail(f"the following arguments are required: {'/'.join(option.flags)}")
        rest = self._take_positionals([word for word, is_option in arguments if not is_option])
        if unknown or rest:
            self._fail(f"unrecognized arguments: {' '.join(unknown or rest)}")
        return self.values

    # ---- options -------------------------------------------------------------------------------------------------

    def _take_options(self, words: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Store options; yield what is none, and (marked) what looks like one but is not known."""
        queue = list(reversed(words))
        left = self._positionals_before_the_rest()
        while queue:
            word = queue.pop()
            if word == "--" or left == 0:
                if left == 0:
                    yield word, False
                yield from ((rest, False) for rest in reversed(queue))
                return
            if not self._is_option(word):
                left -= 1
                yield word, False
            elif not self._take_option(word, queue):
                yield word, True

    def _positionals_before_the_rest(self) -> int:
        """After how many positionals the others are taken as they are; negative: never."""
        dests = [positional.dest for positional in self.command.positionals]
        behind = self.command.verbatim_behind
        return dests.index(behind) + 1 if behind else -1

    def _is_option(self, word: str) -> bool:
        """As argparse decides it: neither ``-`` nor ``-1``; ``- *.o`` is a pattern, ``-e*.o *.a`` an option."""
        if not word.startswith("-") or word == "-":
            return False
        name, equals, _ = word.partition("=")
        if name in self.by_flag or word.startswith("--"):
            return equals == "=" or " " not in name
        return word[:2] in self.by_flag or not (" " in word or word[1:].replace(".", "", 1).isdigit())

    def _take_option(self, word: str, queue: list[str]) -> bool:
        name, equals, attached = word.partition("=")
        if option := self.by_flag.get(name):
            self._store(option, name, attached if equals else None, queue)
            return True
        if word.startswith("--"):
            return False
        return self._take_cluster(word, queue)

    def _take_cluster(self, word: str, queue: list[str]) -> bool:
        """Short options in one word, as ``-ns`` or ``-Czstd``."""
        letters = word[1:]
        if f"-{letters[0]}" not in self.by_flag:
            return False
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            option = self.by_flag.get(name)
            if option is None:
                self._fail(f"unrecognized arguments: {word}")
            if option.takes_value:
                self._store(option, name, letters or None, queue)
                return True
            self._store(option, name, None, queue)
        return True

    def _store(self, option: Option, name: str, attached: str | None, queue: list[str]) -> None:
        if option.deprecated and name.startswith("--"):  # as Borg, which keeps silent on -P
            self.values.deprecated.append(f'Warning: "{name}" has been deprecated. {option.deprecated}')
        if option.excludes and option.excludes in self.given:
            other = self.given[option.excludes]
            self._fail(f"argument {'/'.join(option.flags)}: not allowed with argument {'/'.join(other.flags)}")
        for other in self.given.values():
            if other.excludes == option.dest:
                self._fail(f"argument {'/'.join(option.flags)}: not allowed with argument {'/'.join(other.flags)}")
        if option.once and option.dest in self.given:
            self._fail(f"argument {'/'.join(option.flags)}: There can be only one.")
        self.given[option.dest] = option
        if not option.takes_value:
            if attached is not None:
                self._fail(f"argument {'/'.join(option.flags)}: ignored explicit argument {attached!r}")
            self.values[option.dest] = option.constant
            return
        if attached is None and option.implied and not (queue and self._is_choice(queue[-1])):
            attached = option.implied
        if attached is None:
            if not queue or queue[-1] == "--" or self._is_option(queue[-1]):
                self._fail(f"argument {'/'.join(option.flags)}: expected one argument")
            attached = queue.pop()
        self._store_value(option, attached)

    def _is_choice(self, word: str) -> bool:
        """Whether a word behind an option with an implied value is meant for it, though it may be none that is known.

        Borg takes every word for one. A slash or a colon makes it a location here.
        """
        return word != "--" and not self._is_option(word) and not set(word) & set("/:")

    def _store_value(self, option: Option, text: str) -> None:
        if option.rule:
            if self.rules is not None:
                getattr(self.rules, option.rule)(text)
            return
        value: object = text
        if option.choices and text not in option.choices:
            known = ", ".join(repr(choice) for choice in option.choices)
            self._fail(f"argument {'/'.join(option.flags)}: invalid choice: {text!r} (choose from {known})")
        if option.convert is not None:
            try:
                value = option.convert(text)
            except ValueError as error:
                self._fail(f"argument {'/'.join(option.flags)}: {error}")
        if option.repeats:
            held = self.values[option.dest]
            assert isinstance(held, list)
            held.append(value)
        else:
            self.values[option.dest] = value

    # ---- positionals ---------------------------------------------------------------------------------------------

    def _take_positionals(self, words: list[str]) -> list[str]:
        """Give each positional its words; what is left over."""
        missing: list[Positional] = []
        positionals = self.command.positionals
        for number, positional in enumerate(positionals, 1):
            if positional.arity == "*":
                end = max(0, len(words) - len(positionals[number:]))
                self.values[positional.dest] = words[:end]
                words = words[end:]
            elif words:
                self.values[positional.dest] = words.pop(0)
            else:
                self.values[positional.dest] = None
                if positional.arity == "1":
                    missing.append(positional)
        if missing:
            self._fail(f"the following arguments are required: {', '.join(one.metavar for one in missing)}")
        return words

    def _fail(self, message: str) -> NoReturn:
        raise BadArguments(message, self.command.name)


def _by_flag(options: Sequence[Option]) -> dict[str, Option]:
    return {flag: option for option in options for flag in option.flags}


def program_name(argv0: str) -> str:
    """What the user called us. ``python -m bork`` is ``bork`` too."""
    name = os.path.basename(argv0)
    return "bork" if name in ("", "__main__.py", "-c", "pytest") else name
