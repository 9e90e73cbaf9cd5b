"""What is demanded of a page / filesystem / device / GUP stack, and the check of it."""
