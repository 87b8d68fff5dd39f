"""What a pull request does to the figures: prod of the base on a sandbox, the change beside it, what differs."""
