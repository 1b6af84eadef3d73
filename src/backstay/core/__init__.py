"""What every layer may use: values, errors, units, retention, schedules. No input or output of its own."""
