package rest

import (
	"encoding/json"

	"bolwerk/abuse/enforce"
)

// Said is how an answer is read.
func Said(status int, body []byte) (enforce.Result, error) {
	var a Answer
	json.Unmarshal(body, &a)
	a.Code = clean(a.Code)
	return said(status, 0, a)
}
