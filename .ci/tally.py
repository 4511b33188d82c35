#!/usr/bin/env python3
"""The end of .ci/run: a table of its steps, and whether the tiers together ran every test that there is."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree


def ran(path: Path) -> Counter[str]:
    """How often each test stands in a JUnit file."""
    return Counter(f"{case.get('classname')}::{case.get('name')}" for case in ElementTree.parse(path).iter("testcase"))


def collected() -> int:
    """How many tests there are, of all tiers; where PyTorch is installed no file is left out."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sum("::" in line for line in lines)


def main(results: Path) -> int:
    """Print both; 1 if a test ran in no tier, or in two."""
    tiers = {path.stem: ran(path) for path in sorted(results.glob("*.xml"))}
    print(f"{'step':24} {'s':>6} {'tests':>6}")
    for line in (results / "steps").read_text().splitlines():
        name, seconds = line.split("\t")
        print(f"{name:24} {seconds:>6} {tiers[name].total() if name in tiers else '':>6}")
    every, there = sum(tiers.values(), Counter()), collected()
    print(f"{'all':24} {'':6} {every.total():>6} of {there}")
    twice = [test for test, times in every.items() if times > 1]
    if every.total() != there or twice:
        print("== not every test ran once:", *twice[:10])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
