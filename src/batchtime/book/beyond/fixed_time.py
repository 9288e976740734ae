"""The dual problem: the least loss after a fixed time, and whether the law says at which batch size.

After `seconds` at batch size M a run has made seconds / t(M) updates; by the law these are worth as many full-batch
updates as seconds / (t(M) (1 + r / M)), with r = alpha / n_inf of the loss that they reach. So the best batch size in a
fixed time is that of the fastest training to that loss: sqrt(r delta / gamma), if t = delta + gamma M.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr

from batchtime.book.beyond import universal
from batchtime.book.beyond.gpu_truth import line
from batchtime.runs import published

Array = npt.NDArray[np.float64]

TOKENS = {"zhang2025": 512, "steplaw": 2_048}
"""Tokens in a sequence of the published language models."""


def language_models() -> pd.DataFrame:
    """Return alpha / n_inf in tokens of the published language models that `universal` fits: series, tokens.

    It is that of the law with a pole.
    """
    means = universal.points()
    about = universal.screened(means)
    chosen = about[(about["reason"] == "") & about["source"].isin(list(TOKENS))]
    rows = []
    for name, source in chosen["source"].items():
        frame = means[means["series"] == name]
        law = universal.fit_bent(
            frame["batch_size"].to_numpy(dtype=float), frame["updates"].to_numpy(dtype=float), power=1.0
        )
        rows.append({"series": name, "tokens": law.critical_batch_size * TOKENS[str(source)]})
    return pd.DataFrame(rows)


def worth(batch: Array, updates: Array, ratio: float) -> Array:
    """Return how many full-batch updates the updates (K,) at batch sizes (K,) are worth, at a ratio alpha / n_inf."""
    return updates / (1 + ratio / batch)


def devices() -> pd.DataFrame:
    """Return what the law makes of each device's runs of a fixed time.

    Returns:
        series, device, batches (how many sizes), least_batch, best_batch (of the least bits per byte: the least batch
        tried, on both devices), delta and gamma (seconds, and seconds per token, of the line through the seconds of an
        update), break_even (delta / gamma, in tokens), ratio_below (the least alpha / n_inf, in tokens, at which the
        law would have put the best batch size above the least one tried: the runs say that it is not larger),
        predicted_low, predicted_best, predicted_high (the law's best batch size at the least, the median and the
        largest alpha / n_inf of `language_models`), order (rank correlation of bits per byte with what the updates are
        worth at that median; -1 is as it should be).
    """
    ratios = language_models()["tokens"]
    made = []
    for (series, device), frame in published.fixed_time().groupby(["series", "device"]):
        batch, updates = frame["batch_tokens"].to_numpy(dtype=float), frame["updates"].to_numpy(dtype=float)
        seconds = frame["seconds"].to_numpy(dtype=float) / updates
        delta, gamma = line(batch, seconds)
        break_even = delta / gamma
        bits = frame["bits_per_byte"].to_numpy(dtype=float)
        made.append(
            {
                "series": series,
                "device": device,
                "batches": len(frame),
                "least_batch": batch.min(),
                "best_batch": batch[bits.argmin()],
                "delta": delta,
                "gamma": gamma,
                "break_even": break_even,
                "ratio_below": batch.min() ** 2 / break_even if break_even > 0 else np.inf,
                "predicted_low": np.sqrt(ratios.min() * break_even),
                "predicted_best": np.sqrt(ratios.median() * break_even),
                "predicted_high": np.sqrt(ratios.max() * break_even),
                "order": float(spearmanr(bits, worth(batch, updates, float(ratios.median()))).statistic),
            }
        )
    return pd.DataFrame(made)
