"""A fleet whose hosts are played by ``fake_bork.py``."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from bork.pull.fleet import config
from bork.pull.fleet.hosts import Fleet
from bork.pull.fleet.state import StateDirectory

FAKE = Path(__file__).with_name("fake_bork.py")
PROGRAM = Path(__file__).with_name("program.py")


class Scene:
    """A directory with the fake program, its behaviour, a configuration and the state."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repositories = directory / "repos"
        self.repositories.mkdir()
        self.fake = directory / "bork"
        self.fake.write_text(f"#!{sys.executable}\n{FAKE.read_text()}")
        self.fake.chmod(0o755)
        self.config = directory / "pull.toml"
        self.states = StateDirectory(str(directory / "state"))
        self.behave()

    def behave(self, **behaviours: str) -> None:
        """``pull_web="hang"``; ``pull_all`` is every host."""
        named = {key.replace("_", ":", 1).replace(":all", ":*"): value for key, value in behaviours.items()}
        (self.directory / "behaviour.json").write_text(json.dumps(named))

    def hosts(self, *names: str, defaults: str = "", top: str = "") -> Fleet:
        """Write a configuration with these hosts, and read it."""
        tables = "".join(f"[hosts.{name}]\n" for name in names)
        self.write(
            f'{top}\n[defaults]\npaths = ["/etc"]\nrepository = "{self.repositories}/{{name}}"\n{defaults}\n{tables}'
        )
        return self.load()

    def write(self, text: str) -> None:
        self.config.write_text(textwrap.dedent(text))

    def load(self) -> Fleet:
        return config.load(str(self.config), "/root")

    def log(self, event: str = "start", command: str = "") -> list[dict[str, Any]]:
        """What the fake programs have noted."""
        try:
            lines = (self.directory / "log").read_text().splitlines()
        except FileNotFoundError:
            return []
        notes: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return [note for note in notes if note["event"] == event and command in ("", note["command"])]

    def command(self, *words: str) -> list[str]:
        """``bork`` with these words, in a process whose children are fake."""
        return [sys.executable, str(PROGRAM), str(self.fake), *words]

    def environment(self, **variables: str) -> dict[str, str]:
        return {**os.environ, "BORK_STATE_DIR": str(self.directory / "state"), **variables}

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, "--config", str(self.config)),
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
