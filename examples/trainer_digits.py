"""A script with Hugging Face's Trainer; with --watch it says itself when an accuracy of 0.9 is met."""

import argparse

import numpy as np
import torch
import transformers
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

options = argparse.ArgumentParser()
options.add_argument("--batch-size", type=int, default=32)
options.add_argument("--learning-rate", type=float, default=0.2)
options.add_argument("--accumulate", type=int, default=1)
options.add_argument("--epochs", type=int, default=40)
options.add_argument("--seed", type=int, default=0)
options.add_argument("--out", default="out")
options.add_argument("--watch", metavar="FOLDER")


class Classifier(nn.Module):
    """A perceptron as the Trainer calls it."""

    def __init__(self) -> None:
        """Make the network."""
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and scores."""
        scores = self.network(images)
        return {"loss": functional.cross_entropy(scores, labels), "logits": scores}


class SaveState(transformers.TrainerCallback):
    """Save the Trainer's own log at each evaluation."""

    def on_evaluate(self, args: object, state: transformers.TrainerState, control: object, **_: object) -> None:
        """Save it."""
        state.save_to_json(f"{args.output_dir}/trainer_state.json")  # type: ignore[attr-defined]


def main() -> None:
    """Train."""
    given = options.parse_args()
    transformers.set_seed(given.seed)
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    pairs = zip(images[order].astype(np.float32) / 16, labels[order], strict=True)
    examples = [{"images": image, "labels": int(label)} for image, label in pairs]
    arguments = transformers.TrainingArguments(
        output_dir=given.out,
        per_device_train_batch_size=given.batch_size,
        gradient_accumulation_steps=given.accumulate,
        per_device_eval_batch_size=360,
        num_train_epochs=given.epochs,
        learning_rate=given.learning_rate,
        lr_scheduler_type="constant",
        optim="sgd",
        seed=given.seed,
        use_cpu=True,
        eval_strategy="epoch",
        logging_strategy="steps",
        logging_steps=5,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    callbacks: list[transformers.TrainerCallback] = [SaveState()]
    if given.watch:
        from batchtime.huggingface import StepsToTarget

        callbacks.append(StepsToTarget(metric="eval_accuracy", at_least=0.9, out=given.watch))
    trainer = transformers.Trainer(
        Classifier(),
        arguments,
        train_dataset=examples[:1437],  # type: ignore[arg-type]
        eval_dataset=examples[1437:],  # type: ignore[arg-type]
        compute_metrics=lambda told: {"accuracy": float((told.predictions.argmax(1) == told.label_ids).mean())},
        callbacks=callbacks,
    )
    trainer.train()
    if trainer.is_world_process_zero():
        print(f"{trainer.state.global_step} updates")


if __name__ == "__main__":
    main()
