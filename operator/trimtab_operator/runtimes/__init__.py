"""What is known of each serving runtime, as data: how it is detected and by which PromQL it is read."""
