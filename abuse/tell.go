package abuse

import (
	"encoding/json"
	"time"

	"bolwerk/abuse/door"
	"bolwerk/internal/copy"
	"bolwerk/internal/store"
)

// receiptTime is how long a reporter may ask what became of a report.
const receiptTime = 90 * 24 * time.Hour

// tellReporter tells the intakes what the holder of a code may see.
func (d *Desk) tellReporter(tx *store.Tx, hash string, s door.Status) {
	if d.p.Publish == nil {
		return
	}
	body, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain data
	}
	d.p.Publish.Append(tx, CopyPublic, copy.Entry{ID: door.StatusEntry + hash, Version: tx.NowMicros(), Body: body, Until: store.Micros(tx.Now().Add(receiptTime))}, nil)
}
