"""The versions that installations are held to, and the lowest that are tested, agree with what pyproject.toml says."""

import re
import tomllib

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(line) for line in (*PROJECT["dependencies"], *EXTRAS["plot"], *EXTRAS["discover"])]
CONSTRAINTS, LOWEST = "docs/constraints.txt", ".ci/lowest.txt"


def pinned(path: str) -> list[Requirement]:
    """The requirements in a file of versions; the lines of hashes belong to them."""
    text = (ROOT / path).read_text().replace("\\\n", " ")
    return [Requirement(re.sub(r" --hash=\S+", "", line).strip()) for line in text.splitlines()]


def version(requirement: Requirement) -> str:
    [specifier] = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("path", [CONSTRAINTS, LOWEST])
def test_all_that_is_needed_is_there_within_its_bounds(path: str) -> None:
    for wanted in DIRECT:
        found = [pin for pin in pinned(path) if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
        assert found, f"{wanted.name} is missing: make constraints"
        for pin in found:
            assert wanted.specifier.contains(version(pin)), f"{pin}, but {wanted}: make constraints"


def test_the_lowest_are_the_bounds_themselves() -> None:
    lowest = {canonicalize_name(pin.name): version(pin) for pin in pinned(LOWEST)}
    for wanted in DIRECT:
        bounds = [specifier.version for specifier in wanted.specifier if specifier.operator == ">="]
        assert len(bounds) == 1, f"{wanted} has no lower bound"
        found = lowest[canonicalize_name(wanted.name)]
        assert Version(found) == Version(bounds[0]), f"{wanted}: make constraints"


def test_each_file_is_vouched_for_and_no_host_is_named() -> None:
    for path in (CONSTRAINTS, LOWEST):
        text = (ROOT / path).read_text()
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE)
    blocks = re.split(r"^(?=\S)", (ROOT / CONSTRAINTS).read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pinned(CONSTRAINTS))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


SYSTEMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(("platform", "machine"), SYSTEMS)
def test_on_each_system_there_is_one_version_of_each_and_one_onnx_runtime(
    python: str, platform: str, machine: str
) -> None:
    system = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[platform]
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    environment |= {"sys_platform": platform, "platform_machine": machine, "platform_system": system}
    for path in (CONSTRAINTS, LOWEST):
        names = [pin.name for pin in pinned(path) if pin.marker is None or pin.marker.evaluate(environment)]
        assert len(names) == len(set(names))
        assert sum(name.startswith("onnxruntime") for name in names) == 1
