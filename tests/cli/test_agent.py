"""``bork-agent`` where Bork is installed: it is the program that came with it."""

import subprocess
import sys
from pathlib import Path

import bork
from bork.cli import agent


def test_it_becomes_the_program() -> None:
    words = [sys.executable, "-c", "from bork.cli import agent; agent.main()", "--version"]
    done = subprocess.run(words, capture_output=True, check=True)
    assert done.stdout.startswith(f"bork-agent {bork.__version__} (pull protocol ".encode())


def test_without_one_it_says_so(tmp_path: Path) -> None:
    """As where Bork was installed without building the agent."""
    copy = tmp_path / "bork" / "cli" / "agent.py"
    copy.parent.mkdir(parents=True)
    copy.write_text(Path(agent.__file__).read_text())
    words = [sys.executable, "-c", "import runpy, sys; sys.exit(runpy.run_path(sys.argv[1])['main']())", str(copy)]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 127
    assert done.stderr == b"bork-agent: this installation has none for this machine (No such file or directory)\n"
