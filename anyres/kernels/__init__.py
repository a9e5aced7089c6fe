"""Fast paths on CPUs, each beside its plain twin in `reference`."""
