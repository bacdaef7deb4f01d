"""The feed on a real Kafka: one site for all tests of this folder."""
