"""Running a service: consume, decode, handle, publish, ack."""
