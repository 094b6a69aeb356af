"""notifyq: transactional notifications whose every step is a row in Postgres."""
