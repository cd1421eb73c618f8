"""A whole graph as ONNX: the graph's operations, interpreted with names in place of numbers.

`values` says what is known of a value that only a run will give; `emitter` adds nodes;
`words` is the namespace in which the operations' definitions speak; `walk` goes through the
graph, `loops`, `arrays` and `places` through what is no plain operation; `plan` puts the
result together.
"""
