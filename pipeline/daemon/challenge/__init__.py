"""Challenge runs of a station: when one is due, which triggers belong to it, and how it ended.

`due` knows the rules, `guard` the state by which parts are judged, `watch` is the worker that takes
runs up, ends them and writes down what they are needed after. May call `inspection` and below.
"""
