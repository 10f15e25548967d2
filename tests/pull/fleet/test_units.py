"""The units for systemd are what systemd takes them for."""

import re
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[3] / "contrib" / "systemd"
EXPOSURE_MAX = 1.5  # of 10, by ``systemd-analyze security``: what it must have is the network


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


@pytest.mark.needs("systemd-analyze")
def test_the_units_are_valid(tmp_path: Path) -> None:
    program = tmp_path / "bork"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("bork-pull.service", "bork-pull.timer"):
        (tmp_path / name).write_text((UNITS / name).read_text().replace("/usr/bin/bork", str(program)))
    done = analyze("verify", "--man=no", tmp_path / "bork-pull.service", tmp_path / "bork-pull.timer")
    said = [line for line in done.stderr.splitlines() if "bork-pull" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.needs("systemd-analyze")
def test_the_service_has_almost_no_rights() -> None:
    done = analyze("security", "--offline=true", UNITS / "bork-pull.service")
    exposure = re.search(r"exposure level for bork-pull\.service: ([0-9.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX


def test_the_service_runs_what_is_due_and_may_write_where_it_keeps_things() -> None:
    text = (UNITS / "bork-pull.service").read_text()
    assert "ExecStart=/usr/bin/bork pull --due --config /etc/bork/pull.toml\n" in text
    for directory in ("BORK_CONFIG_DIR=%S/bork/", "BORK_STATE_DIR=%S/bork/", "BORK_CACHE_DIR=%C/bork"):
        assert directory in text
