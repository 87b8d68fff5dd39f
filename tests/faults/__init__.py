"""A fault harness: a small business with real sources, what can go wrong with its pipeline, and whether it heals.

``python -m tests.faults.kill_points`` stops a command between every two of its statements that leave another disk
behind, and lets the next cycle go on from each; ``python -m tests.faults.soak`` plays months with faults at random.
Both print the line that plays a failure again. ``tests.faults.reader`` asks beside a cycle whether tables agree.
"""
