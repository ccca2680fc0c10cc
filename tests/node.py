"""The Node that Playwright's wheel brings: locked like the rest, there wherever tests run."""

from pathlib import Path

import playwright

NODE = Path(playwright.__file__).parent / "driver" / "node"
