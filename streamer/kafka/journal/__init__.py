"""What finished steps of unfinished tasks answered, kept in a topic of its own so that nobody pays twice."""
