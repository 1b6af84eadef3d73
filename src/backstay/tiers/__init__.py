"""The four tiers, all of one shape (``base.Tier``); none knows another."""
