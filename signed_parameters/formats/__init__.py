"""The formats of model files: what is checked when they are signed, and how they are loaded when they are verified.

* `kinds`: which file is of which format.
* `pickles`: opened through `unpickling`, which allows the signed globals only. `pickle_globals` finds these by reading
  `opcodes`; nothing is executed.
* `skops_files`, `onnx_files`: the formats that need no code.
"""
