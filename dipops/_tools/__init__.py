"""What no paper of the field names: files, seeds, batches and the like; not for users."""
