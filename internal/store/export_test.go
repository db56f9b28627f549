package store

// Waiting is how many writes stand in the line of the intake lane.
func (db *DB) Waiting() int { return len(db.intake) }
