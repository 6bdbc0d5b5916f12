"""What one replica sustains within the objectives, from the model's and the GPU's facts."""
