"""Systems outside this process, made implementations of the contract."""
