"""The Kafka feed: reads topics, fires a trigger with batches, follows each batch to its report, then commits."""
