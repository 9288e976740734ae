"""What a class does together: the pooled sweep and exercises that check themselves."""
