"""A callback for Lightning: `Trainer(callbacks=[StepsToTarget(metric="val_acc", at_least=0.9, out="measured")])`."""

import os

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import cuda

from batchtime.train.watch import Watched


class StepsToTarget(Watched, Callback):  # type: ignore[misc]  # Lightning is no dependency: to mypy it is anything
    """Watch a run as `batchtime.watch` does, and end it when a validation metric met its target.

    An update is a step of the optimizer. What need not be told: the batch size is the loader's, times devices and
    batches that are accumulated; the learning rate is the first optimizer's, and the seed that of `seed_everything`.
    With several processes log the metric with `sync_dist=True`: the first one alone writes, and decides.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the clock, after the updates of a checkpoint where the run goes on from one."""
        size = getattr(trainer.train_dataloader, "batch_size", None)
        group = trainer.optimizers[0].param_groups[0]
        seed = os.environ.get("PL_GLOBAL_SEED")
        self.begin(
            writes=trainer.is_global_zero,
            done=trainer.global_step,
            batch_size=size and size * trainer.accumulate_grad_batches * trainer.world_size,
            learning_rate=float(group.get("initial_lr", group["lr"])),
            seed=None if seed is None else int(seed),
        )

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Count the update, if the batch was the last one of it."""
        self.count(trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Stop the clock, when the device is done."""
        if self.run is not None and not trainer.sanity_checking:
            if trainer.strategy.root_device.type == "cuda":
                cuda.synchronize()
            self.run.pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Take the metric, and let the first process say whether training ends."""
        if self.run is not None and not trainer.sanity_checking:
            self.evaluate(trainer.callback_metrics)
            trainer.should_stop |= self.stop and trainer.strategy.broadcast(self.run.reached)

    def on_train_end(self, *_: object) -> None:
        """Write the tables."""
        self.end()

    def on_exception(self, *_: object) -> None:
        """Write the tables, as far as training came."""
        self.end(whole=False)
