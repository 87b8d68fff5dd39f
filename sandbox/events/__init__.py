"""What happens in the simulated business."""
