"""Whether an answer is right, without a model: values compared, votes counted, code run."""
