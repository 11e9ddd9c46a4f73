"""Connections to other machines: MQTT client, HTTP client with deadlines, secrets for both.

Used by sources, triggers and sinks; knows nothing of them. Calls `runtime`.
"""
