"""What `evaluate` does with a sealed bundle: judge parts, change the line, draw heat maps.

May call `inference`, `datasets`, `metrics`, `imaging`, `registry` and `contracts`, and `training`
for what needs the network itself; `stages` call it.
"""
