"""What the pages show of parts as they come, without costing the inspection anything.

`feed` takes each closed record and has it ready for the streams of open pages (`streams`), with
the `totals` of shift and day; `pictures` makes small pictures, `heat_maps` shows in idle time where
in a picture a score comes from. May call what the web service may, but for its pages.
"""
