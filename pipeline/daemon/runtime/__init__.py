"""What every worker thread needs: clock, heartbeat, backoff, bounded queue, alarms, supervisor.

Knows nothing of parts, records or cameras. A worker without heartbeat is hung: the supervisor
abandons its thread and starts a replacement. Imports nothing else of the daemon.
"""
