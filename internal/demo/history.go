package demo

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"bolwerk/shield/figures"
)

// HistoryDay is an invented day that is over: what was counted, by kind.
type HistoryDay struct {
	Day    time.Time
	Counts map[string]map[string]int64
}

// The campaigns of a whole year, the newest first: fewer than the year before.
var campaignsOf = []float64{126, 166, 150}

// History invents the days before the world's first, from the first of January
// of two years before: busy in spring and before the end of the year, quiet at
// weekends. The same world has the same history.
func (w World) History() []HistoryDay {
	end := w.Day.UTC().Truncate(24 * time.Hour)
	var out []HistoryDay
	for day := time.Date(end.Year()-2, 1, 1, 0, 0, 0, 0, time.UTC); day.Before(end); day = day.AddDate(0, 0, 1) {
		out = append(out, w.historyDay(day, end.Year()-day.Year()))
	}
	return out
}

func (w World) historyDay(day time.Time, ago int) HistoryDay {
	r := rand.New(rand.NewPCG(uint64(day.Unix()), 26))
	d := HistoryDay{day, map[string]map[string]int64{}}
	put := func(what, kind string, n int64) {
		if n <= 0 {
			return
		}
		if d.Counts[what] == nil {
			d.Counts[what] = map[string]int64{}
		}
		d.Counts[what][kind] += n
	}
	// around draws about n: never below zero, the same on average.
	around := func(n float64) int64 {
		v := n * (0.8 + 0.4*r.Float64())
		whole := math.Floor(v)
		if r.Float64() < v-whole {
			whole++
		}
		return int64(whole)
	}
	share := func(n int64, of float64) int64 { return min(n, around(float64(n)*of)) }

	season := 1 + 0.25*math.Sin(2*math.Pi*(float64(day.YearDay())-40)/182)
	if wd := day.Weekday(); wd == time.Saturday || wd == time.Sunday {
		season *= 0.6
	}
	growth := math.Pow(0.86, float64(ago))

	mail, web, api := around(720*season*growth), around(110*season*growth), around(24*season*growth)
	put(figures.Reports+".channel", "mail", mail)
	put(figures.Reports+".channel", "web", web)
	put(figures.Reports+".channel", "api", api)
	put(figures.Reporters, "", share(mail, 0.81))
	put(figures.Answered, "", share(mail, 0.74))
	for range around(campaignsOf[ago] / 365 * season) {
		// A few brands are imitated far more often than others.
		put(figures.Campaigns+".brand", w.Brands[min(int(r.ExpFloat64()*float64(len(w.Brands))/3), len(w.Brands)-1)].Name, 1)
	}

	orders := around(3.2 * season)
	own := around(19 * season * growth)
	made := own + orders
	put(figures.Blocks+".ground", "own", own)
	put(figures.Blocks+".ground", "order", orders)
	shop, scam := share(made, 0.17), share(made, 0.06)
	put(figures.Blocks+".class", "fake_shop", shop)
	put(figures.Blocks+".class", "scam", min(scam, made-shop))
	put(figures.Blocks+".class", "phishing", made-shop-min(scam, made-shop))
	tenant, whole := share(made, 0.12), share(made, 0.2)
	put(figures.Blocks+".scope", "subtree", tenant)
	put(figures.Blocks+".scope", "registrable", min(whole, made-tenant))
	put(figures.Blocks+".scope", "host", made-tenant-min(whole, made-tenant))

	visits := around(4960 * season * growth)
	tls := share(visits, 0.93)
	put(figures.Visits, "", visits)
	put(figures.TLSAttempts, "", tls)
	put(figures.PageViews, "", min(visits, visits-tls+share(tls, 0.05)))
	put(figures.DNSHits, "", int64(float64(visits)*(3+0.4*r.Float64())))
	put(figures.ReportsFirst, "", around(float64(own)*2.6))
	put(figures.AskedFirst, "", around(float64(own)*84))

	put(figures.Withdrawals+".cause", "cleaned", around(0.6*season))
	put(figures.Withdrawals+".cause", "false_positive", around(0.12*season))
	put(figures.Withdrawals+".cause", "order", around(0.08))
	put(figures.Withdrawals+".cause", "error", around(0.04))
	upheld, rejected := around(0.05), around(0.09)
	put(figures.Withdrawals+".cause", "appeal", upheld)
	put(figures.AppealsDone+".outcome", "upheld", upheld)
	put(figures.AppealsDone+".outcome", "rejected", rejected)
	put(figures.Appeals, "", upheld+rejected)

	// Most are quick, some are slow: half within the first number of minutes.
	took := func(what string, n int64, minutes, spread float64) {
		for range n {
			put(what, strconv.Itoa(figures.Bucket(60*minutes*math.Exp(spread*r.NormFloat64()))), 1)
		}
	}
	took(figures.ClockRead, own, 0.05, 0.5)
	took(figures.ClockDecided, own, 14/growth, 1.1)
	took(figures.ClockHit, share(made, 0.8), 11, 1.3)
	took(figures.ClockOrder, orders, 0.6, 0.6)
	took(figures.ClockAppeal, upheld+rejected, 310, 0.7)
	return d
}
