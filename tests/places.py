"""Where things lie beside the tests."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("VALARO_DATA") or ROOT.parent / "shared" / "data")  # annotated music, where it is at hand
