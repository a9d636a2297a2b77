"""What servers run beside Patroni as it is."""
