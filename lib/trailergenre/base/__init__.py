"""What everything else is made of: settings, errors, records, storage, child processes."""
