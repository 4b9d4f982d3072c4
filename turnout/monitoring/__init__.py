"""Whether data and models are still what they were: functions of counts and columns; no orchestrator in sight."""
