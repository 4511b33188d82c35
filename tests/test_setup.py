"""`.ci/setup`, which brings the system packages, run for real against stand-in programs on a path of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parent.parent / ".ci" / "setup"
TOOLS = ("env", "grep", "rm")  # the only real programs on the path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="make and sh are at home on POSIX systems")


class Machine:
    """A machine that has the programs given: name -> body of the shell script that plays it."""

    def __init__(self, folder: Path, **programs: str) -> None:
        self.path = folder / "bin"
        self.log = folder / "log"
        self.path.mkdir()
        self.log.touch()
        for tool in TOOLS:
            (self.path / tool).symlink_to(str(shutil.which(tool)))
        for name, body in ({"uname": "echo Linux", "id": "echo 1000", "ldconfig": "true"} | programs).items():
            program = self.path / name.replace("_", "-")
            program.write_text(f'#!/bin/sh\necho "{program.name} $*" >> {self.log}\n{body}\n')
            program.chmod(0o755)

    def setup(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Exit code, and what it said."""
        # /bin/sh is named: the path has none
        done = subprocess.run(
            ["/bin/sh", str(SETUP), *arguments],
            cwd=self.path.parent,
            env={"PATH": str(self.path)} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    def calls(self, program: str) -> list[str]:
        """The arguments of each call of a program."""
        return [line.partition(" ")[2] for line in self.log.read_text().splitlines() if line.split()[0] == program]


INSTALLED = "printf installed"
NO_OSCDUMP = 'for last; do :; done\n[ "$last" = liblo-tools ] && exit 1\nprintf installed'
PYTHON = "exit 0"
INSTALL_OSCDUMP = "apt-get install --yes --no-install-recommends --no-remove liblo-tools"


@pytest.mark.parametrize("target", ["demo", "test", "long"])
def test_when_all_is_there_it_does_nothing(target: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, dpkg_query=INSTALLED, apt_get="true", sudo="true", id="echo 0")
    assert machine.setup(target) == (0, "")
    assert machine.calls("apt-get") == machine.calls("sudo") == []


def test_root_installs_what_is_missing_and_only_that(tmp_path: Path) -> None:
    machine = Machine(tmp_path, dpkg_query=NO_OSCDUMP, apt_get="true", id="echo 0")
    assert machine.setup("test")[0] == 0
    update, install = machine.calls("apt-get")
    assert update.startswith("update")
    assert f"apt-get {install}".startswith(INSTALL_OSCDUMP + " -qq")


@pytest.mark.parametrize("target", ["test", "long"])
def test_the_fast_tests_bring_no_browser_and_no_host(target: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, dpkg_query="exit 1", apt_get="true", id="echo 0")
    assert machine.setup(target)[0] == 0
    asked = " ".join(call for call in machine.calls("apt-get") if call.startswith("install")).split()
    assert {"pulseaudio", "liblo-tools"} <= set(asked)
    for package in ("chromium", "puredata-core", "jackd2"):
        assert (package in asked) == (target == "long")


def test_without_the_right_it_says_exactly_what_to_run_and_goes_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path, dpkg_query=NO_OSCDUMP, apt_get="true", sudo="exit 1")
    code, said = machine.setup("test")
    assert code == 0
    assert f"    sudo apt-get update && sudo {INSTALL_OSCDUMP}\n" in said
    assert machine.calls("apt-get") == []


def test_a_sudo_that_asks_for_no_password_is_used(tmp_path: Path) -> None:
    machine = Machine(
        tmp_path, dpkg_query=NO_OSCDUMP, apt_get="true", sudo='[ "$1" = -n ] && shift\nexec "$@"', true=""
    )
    code, said = machine.setup("test")
    assert code == 0
    assert f"setup: sudo -n {INSTALL_OSCDUMP}\n" in said
    assert len(machine.calls("apt-get")) == 2
    assert all("DEBIAN_FRONTEND=noninteractive" in call for call in machine.calls("sudo")[1:])


def test_an_apt_that_fails_is_told_from_one_that_may_not_run(tmp_path: Path) -> None:
    machine = Machine(tmp_path, dpkg_query=NO_OSCDUMP, apt_get="echo E: no route >&2\nexit 100", id="echo 0")
    code, said = machine.setup("test")
    assert code == 0
    assert "E: no route" in said
    assert "apt-get failed" in said
    assert INSTALL_OSCDUMP in said


@pytest.mark.parametrize(
    ("programs", "advice"),
    [
        ({"uname": "echo Darwin"}, "brew install fluid-synth liblo"),
        ({"dnf": "true"}, "sudo dnf install portaudio "),
        ({"pacman": "true"}, "sudo pacman -S --needed portaudio "),
        ({"zypper": "true"}, "sudo zypper install libportaudio2 "),
        ({}, "PortAudio, "),
    ],
)
def test_other_systems_are_told_in_their_own_words(programs: dict[str, str], advice: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, **programs)
    code, said = machine.setup("test")
    assert code == 0
    assert f"    {advice}" in said
    for manager in ("dnf", "pacman", "zypper"):
        assert machine.calls(manager) == []


@pytest.mark.parametrize(
    ("programs", "advice"),
    [
        ({"uname": "echo Darwin"}, "brew install jack puredata"),
        ({"dnf": "true"}, "sudo dnf install jack-audio-connection-kit "),
        ({"pacman": "true"}, "sudo pacman -S --needed jack2 "),
        ({"zypper": "true"}, "sudo zypper install jack "),
        ({}, "JACK, Pure Data, "),
    ],
)
def test_the_long_tests_ask_for_what_the_fast_ones_do_and_for_more(
    programs: dict[str, str], advice: str, tmp_path: Path
) -> None:
    code, said = Machine(tmp_path, **programs).setup("long")
    assert code == 0
    assert said.count("setup: missing: ") == 2
    assert f"    {advice}" in said


def test_the_demo_asks_for_portaudio_alone(tmp_path: Path) -> None:
    missing = Machine(tmp_path, dnf="true").setup("demo")
    assert missing[1].endswith("    sudo dnf install portaudio\n")
    (tmp_path / "mac").mkdir()
    assert Machine(tmp_path / "mac", uname="echo Darwin").setup("demo") == (0, "")
    (tmp_path / "has").mkdir()
    assert Machine(tmp_path / "has", ldconfig="echo 'libportaudio.so.2 (libc6) => /x'").setup("demo") == (0, "")


def test_no_python_that_is_new_enough(tmp_path: Path) -> None:
    code, said = Machine(tmp_path, python3="exit 1").setup("venv", ".venv")
    assert code == 1
    assert "make PYTHON=/path/to/python3" in said
    (tmp_path / "named").mkdir()
    code, said = Machine(tmp_path / "named", python3=PYTHON).setup("venv", ".venv", PYTHON="python2")
    assert (code, said) == (1, "setup: PYTHON=python2 is not a Python 3.11 or newer\n")


def test_a_python_without_venv_gets_debians_package(tmp_path: Path) -> None:
    python3 = 'case "$*" in *ensurepip*) exit 1 ;; *print*) echo 3.11 ;; esac'
    machine = Machine(tmp_path, python3=python3, dpkg_query="exit 1", apt_get="true", id="echo 0")
    assert machine.setup("venv", ".venv")[0] == 0
    assert "python3.11-venv" in machine.calls("apt-get")[-1]
    assert machine.calls("python3")[-1] == "-m venv --clear .venv"


def test_half_an_environment_is_not_left(tmp_path: Path) -> None:
    python3 = 'case "$*" in *--clear*) : > .venv; exit 1 ;; esac'
    code, said = Machine(tmp_path, python3=python3).setup("venv", ".venv")
    assert code == 1
    assert said.endswith("setup: no virtual environment could be made\n")
    assert not (tmp_path / ".venv").exists()
