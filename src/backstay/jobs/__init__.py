"""What can be done with backups: each ``plan(...)`` then ``run(plan)``."""
