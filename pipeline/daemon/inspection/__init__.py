"""A frame's way from the camera to its closed record.

camera (record opened) → work_queue → worker (frame_check, then predict and decide) → recorder
(record closed). `drift` and `counters` add up closed records.
"""
