"""Other autoscalers, each as its sources say."""
