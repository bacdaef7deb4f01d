"""XRootD announces its files: notes of ``ofs.notify`` become CloudEvents on a Kafka topic."""
