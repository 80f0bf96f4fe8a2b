"""What a person looks at afterwards: learning curves and model cards."""
