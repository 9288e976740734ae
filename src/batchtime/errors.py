"""What is said when a value is refused: one line that names what is wrong, the value and the remedy."""


class BatchtimeError(Exception):
    """A problem told in one line: what is wrong, the value, and the remedy."""


class ParameterError(BatchtimeError):
    """A value outside of what is allowed; the message names the parameter, the value and the allowed range."""


class FitError(BatchtimeError):
    """Runs or timings that do not determine a law; the message names what, the value and the remedy."""


class ChallengeError(BatchtimeError):
    """An entry of the challenge cannot be scored; the message names its file, the task, what is wrong, the remedy."""


class ClassError(BatchtimeError):
    """A student's command failed; the message says why."""


class ClockError(BatchtimeError):
    """A training time that says nothing of the machine; the message names the run."""


class DatasetError(BatchtimeError):
    """A data set is missing or damaged; the message names the file, what was found, what was expected, the remedy."""


class FigureError(BatchtimeError):
    """A figure cannot be published; the message names the panel and the artist."""


class LearnersError(BatchtimeError):
    """Learners could not work together; the message says which one stopped, and why."""


class LogError(BatchtimeError):
    """A log or a table that cannot be used; the message names the file, the line, the value and the remedy."""


class NotebookError(BatchtimeError):
    """A notebook cannot be read, executed or rendered; the message names it, the cell and the error."""


class StoreError(BatchtimeError):
    """The data folder cannot be read or written; the message names the file, the line and the remedy."""


class SweepError(BatchtimeError):
    """A sweep stopped before its end; the message says what is recorded and how to go on."""


class VerificationError(BatchtimeError):
    """Recorded runs are not what they promise; the message names the file and the run."""


class WorkloadError(BatchtimeError):
    """A workload of one's own cannot be used; the message names its function, what is wrong and the remedy."""


def check(condition: bool, *, name: str, value: object, allowed: str) -> None:
    """Refuse a value in one line.

    Raises:
        ParameterError: If `condition` is false.
    """
    if not condition:
        raise ParameterError(f"{name} = {value!r} is not allowed; allowed: {allowed}")
