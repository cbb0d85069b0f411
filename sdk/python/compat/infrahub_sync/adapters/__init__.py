"""The part of infrahub_sync.adapters that custom adapters use."""
