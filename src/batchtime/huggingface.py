"""A callback for Hugging Face's Trainer: `Trainer(..., callbacks=[StepsToTarget(metric="eval_accuracy", ...)])`."""

from torch import cuda
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from batchtime.train.watch import Watched


class StepsToTarget(Watched, TrainerCallback):  # type: ignore[misc]  # no dependency: to mypy it is anything
    """Watch a run as `batchtime.watch` does, and end it when a metric of its evaluations met its target.

    An update is a step of the optimizer. What need not be told is in the training arguments: the batch size is that of
    a device, times devices and batches that are accumulated. Of several processes the first one alone writes.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *_: object, **__: object) -> None:
        """Start the clock, after the updates of a checkpoint where the run goes on from one."""
        size = (
            state.train_batch_size or args.train_batch_size
        )  # smaller than asked for where the Trainer looked for one
        self.begin(
            writes=state.is_world_process_zero,
            done=state.global_step,
            batch_size=size * args.gradient_accumulation_steps * args.world_size,
            learning_rate=args.learning_rate,
            seed=args.seed,
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Count the update; where an evaluation follows, wait for the device first."""
        if control.should_evaluate and args.device.type == "cuda":
            cuda.synchronize()
        self.count(state.global_step)

    def on_evaluate(
        self,
        _args: TrainingArguments,
        _state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: object,
    ) -> None:
        """Take the metric, and end training when its target is met."""
        if self.run is not None:
            self.evaluate(metrics)
            control.should_training_stop |= self.stop and self.run.reached

    def on_train_end(self, *_: object, **__: object) -> None:
        """Write the tables."""
        self.end()
