package shield

import (
	"time"

	"bolwerk/internal/store"
	"bolwerk/shield/edge"
)

// The two figures by which Commission Implementing Regulation (EU) 2024/2690, art. 5,
// points (a) and (b), calls an incident of a DNS service provider significant: a
// recursive or authoritative service is completely unavailable for more than 30
// minutes; for more than one hour its average response time is more than 10 seconds.
// Point (c) is about the data of authoritative services, which this is none of.
//
// Measured is one question a minute at each edge, agent and resolver, for a name that
// nobody has cached and no policy answers. It is not the customers' own questions. The
// service is unavailable while not one of them gets an answer.
const (
	unavailableLimit = 30 * time.Minute
	responseLimit    = 10 * time.Second
	responseWindow   = time.Hour
	// serviceNow is how far back the state of now may have begun and be seen.
	serviceNow = 2 * time.Hour
	// serviceGap is how far apart two turns of one outage may lie: in between
	// nobody looked.
	serviceGap = 5 * time.Minute
)

// Service is how the DNS service does by the law's figures.
type Service struct {
	// Since is the first question that is looked at; absent where there is none.
	Since      time.Time   `json:"since,omitzero"`
	Questions  int64       `json:"questions"`  // of the last hour
	Unanswered int64       `json:"unanswered"` // of them
	Indicators []Indicator `json:"indicators"`
}

// Indicator is one of the figures.
type Indicator struct {
	Key   string        `json:"key"` // unavailable, response_time
	Now   time.Duration `json:"now"`
	Worst time.Duration `json:"worst"` // of the last 48 hours
	// WorstAt is when the worst ended; absent where there is none.
	WorstAt time.Time     `json:"worst_at,omitzero"`
	Limit   time.Duration `json:"limit"`
	Over    bool          `json:"over"`     // now
	WasOver bool          `json:"was_over"` // in the last 48 hours
}

// serviceTurn is what became of the questions of one turn.
type serviceTurn struct {
	at              time.Time
	asked, answered int64
	took            time.Duration // of all together; one without an answer took as long as was waited
}

// service reads the questions since.
func service(tx *store.Tx, since time.Duration) (Service, error) {
	now := tx.Now()
	turns, err := store.List(tx, func(scan func(...any) error) (t serviceTurn, err error) {
		var at, took int64
		err = scan(&at, &t.asked, &t.answered, &took)
		t.at, t.took = store.Time(at), time.Duration(took)*time.Microsecond
		return t, err
	}, `select at,count(*),sum(case when answer>0 then 1 else 0 end),sum(case when answer>0 then answer else $2 end)
		from shield_pulse where at>$1 and answer<>0 group by at order by at`, store.Micros(now.Add(-since)), edge.ServiceWait.Microseconds())
	if err != nil {
		return Service{}, err
	}
	return serviceOf(turns, now), nil
}

// serviceOf computes the figures from turns, oldest first.
func serviceOf(turns []serviceTurn, now time.Time) (s Service) {
	away := Indicator{Key: "unavailable", Limit: unavailableLimit}
	slow := Indicator{Key: "response_time", Limit: responseLimit}
	var began, last time.Time // of an outage: its first and its last turn
	outage := func(end time.Time) {
		if began.IsZero() {
			return
		}
		if d := end.Sub(began); d > away.Worst {
			away.Worst, away.WorstAt = d, end
		}
		began = time.Time{}
	}
	var sum time.Duration
	var asked, unanswered int64
	first := 0 // of the window
	for _, t := range turns {
		if !began.IsZero() && t.at.Sub(last) > serviceGap {
			outage(last)
		}
		if t.answered > 0 {
			outage(t.at)
		} else if last = t.at; began.IsZero() {
			began = t.at
		}
		sum, asked, unanswered = sum+t.took, asked+t.asked, unanswered+t.asked-t.answered
		for ; turns[first].at.Before(t.at.Add(-responseWindow)); first++ {
			sum, asked, unanswered = sum-turns[first].took, asked-turns[first].asked, unanswered-turns[first].asked+turns[first].answered
		}
		// A mean of less than an hour says nothing by the law.
		if mean := sum / time.Duration(asked); mean > slow.Worst && t.at.Sub(turns[0].at) >= responseWindow*9/10 {
			slow.Worst, slow.WorstAt = mean, t.at
		}
	}
	if len(turns) > 0 {
		s.Since = turns[0].at
		end := turns[len(turns)-1].at
		if now.Sub(end) <= serviceGap {
			if !began.IsZero() {
				away.Now = now.Sub(began)
			}
			slow.Now = sum / time.Duration(asked)
			s.Questions, s.Unanswered = asked, unanswered
			outage(now)
		} else {
			outage(last)
		}
		slow.Over = slow.Now > slow.Limit && end.Sub(turns[0].at) >= responseWindow*9/10
	}
	away.Over, away.WasOver = away.Now > away.Limit, away.Worst > away.Limit
	slow.WasOver = slow.Worst > slow.Limit
	s.Indicators = []Indicator{away, slow}
	return s
}
