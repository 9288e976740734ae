"""Choose the mini-batch size that minimises the training time of stochastic gradient descent."""
