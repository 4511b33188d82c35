"""The digest of code: of what is computed, wherever it stands."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from valaro.models.features import dc_offset
from valaro.models.training import source_digest as module
from valaro.models.training.corpus.measure import measure
from valaro.models.training.source_digest import source_digest

KERNEL = '''"""Loops."""

GAIN = 3.0  # a comment
UNUSED = 1


def scale(x: float) -> float:
    """Louder."""
    return GAIN * x
'''
USER = '''from . import {kernel} as kernels
from .{kernel} import scale


class Extractor:
    """Holds tables."""

    def step(self, x: float) -> float:
        return kernels.scale(x)


def unrelated() -> None:
    pass


def extract(x: float) -> float:
    """All of it."""
    return Extractor().step(scale(x))
'''
PLAIN_USER = USER.replace(" as kernels", "").replace("kernels.scale", "{kernel}.scale")


def forget() -> None:
    """What was remembered of sources that a test makes up."""
    for remembered in (module._source, module._digest, module._is_module):
        remembered.cache_clear()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    forget()


def digest(root: Path, package: str, kernel: str = KERNEL, user: str = PLAIN_USER, name: str = "loops") -> str:
    """Of ``extract`` in a package that is written for it; one with a dot has its modules a folder deeper."""
    folder = root / package.replace(".", "/")
    folder.mkdir(parents=True)
    for part in (folder, *folder.parents):
        if part != root and root in part.parents:
            (part / "__init__.py").touch()
    (folder / f"{name}.py").write_text(kernel)
    (folder / "user.py").write_text(user.format(kernel=name))
    importlib.invalidate_caches()
    return source_digest(importlib.import_module(f"{package}.user").extract)


def test_where_a_file_stands_and_what_it_is_called_changes_nothing(packages: Path) -> None:
    first = digest(packages, "one")
    assert digest(packages, "two.inner.deeper") == first
    assert digest(packages, "three", name="renamed") == first
    assert digest(packages, "four", user=USER) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another comment"),
        ('"""Loops."""', '"""Other words."""'),
        ('"""Louder."""', '"""As loud as it gets."""'),
        ("UNUSED = 1", "UNUSED = 2"),
        ("\n\n\ndef", "\n\n\n\ndef"),
    ],
)
def test_what_no_number_comes_from_changes_nothing(packages: Path, old: str, new: str) -> None:
    assert old in KERNEL
    assert digest(packages, "one") == digest(packages, "two", KERNEL.replace(old, new))


@pytest.mark.parametrize(("old", "new"), [("GAIN = 3.0", "GAIN = 3.5"), ("GAIN * x", "GAIN + x")])
def test_what_is_computed_changes_it_through_imports_and_constants(packages: Path, old: str, new: str) -> None:
    assert old in KERNEL
    assert digest(packages, "one") != digest(packages, "two", KERNEL.replace(old, new))


def test_the_order_in_which_objects_are_named_changes_nothing() -> None:
    assert source_digest(measure, dc_offset.step) == source_digest(dc_offset.step, measure)
    assert source_digest(measure) != source_digest(dc_offset.step)


@pytest.fixture
def fresh() -> Iterator[None]:
    yield
    forget()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("models.tracker", "_STEP = 1e-4", "_STEP = 1e-3"),
        ("models.features.dc_offset", "_SECONDS = 3.0", "_SECONDS = 4.0"),
        ("models.features.texture", "\nSECONDS = 2.0", "\nSECONDS = 2.5"),
        ("models.features.frame", "_MELS = 64", "_MELS = 40"),
        ("kernels.filterbanks", "return", "assert True\n    return"),
        ("kernels.mel", "np.float32(0.0)", "np.float32(1.0)"),
        ("kernels.rhythm", "np.float32(0.0)", "np.float32(1.0)"),
        ("kernels.spectrum", "np.float32(0.0)", "np.float32(1.0)"),
        ("kernels.texture", "rate *", "2 * rate *"),
        ("kernels.tonal", "np.float32(0.0)", "np.float32(1.0)"),
        ("kernels._jit", 'frozenset({"reassoc"', 'frozenset({"nnan", "reassoc"'),
    ],
)
def test_the_measured_rows_depend_on_every_module_before_the_mixture(
    name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, text = source_digest(measure), module._text
    assert old in text(f"valaro.{name}")
    monkeypatch.setattr(
        module,
        "_text",
        lambda other: text(other).replace(old, new) if other == f"valaro.{name}" else text(other),
    )
    forget()
    assert source_digest(measure) != before
