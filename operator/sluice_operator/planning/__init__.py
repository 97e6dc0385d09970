"""Pure planning: from what is wanted and what is seen to what to write. No client, no clock, no framework."""
