"""What can go wrong in training. Every message says what was expected, what was found and what to do next.

TrainingError
├── SelectionError   training kept other columns than the service asks for
├── ReductionError   the trained pipeline cannot be reduced, or the reduced one answers differently
├── ExportError      the pipeline cannot be written as ONNX, or the ONNX model or the table answers differently
└── TableError       no table can hold the model
"""


class TrainingError(ValueError):
    """The model cannot be trained. Raised itself for arguments that make no sense, such as an unknown profile."""


class SelectionError(TrainingError):
    """Feature selection kept other columns than those that the service asks for."""


class ReductionError(TrainingError):
    """The trained pipeline cannot be reduced to plain scikit-learn with equal answers."""


class ExportError(TrainingError):
    """The reduced pipeline cannot be exported to ONNX, or to a table, with equal answers."""


class TableError(TrainingError):
    """The model is none that a table can hold, or has too many cells for one. Training goes on without it."""
