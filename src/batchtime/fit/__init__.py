"""From tables to laws with their uncertainty, and from these to a batch size or a refusal.

The package offers the function `batchtime.fit`, and a folder of that name would hide it: so this room can be called.
"""

import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from batchtime.fit.curve import CurveFit
    from batchtime.fit.inverse_law import LawFit


class _Room(types.ModuleType):
    def __call__(self, runs: "pd.DataFrame") -> "LawFit | CurveFit":
        from batchtime.fit.face import fit

        return fit(runs)


sys.modules[__name__].__class__ = _Room
