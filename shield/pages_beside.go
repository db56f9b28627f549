package shield

import (
	"net/http"

	"bolwerk/internal/account"
)

type besideData struct {
	common
	inQueue
	Pair [2]caseData
	Same []string // codes of evidence that both have
}

// Both says that both cases have evidence of this code.
func (d besideData) Both(code string) bool {
	for _, c := range d.Same {
		if c == code {
			return true
		}
	}
	return false
}

// beside shows two cases beside each other: names, mails, evidence.
func (p *Pages) beside(w http.ResponseWriter, r *http.Request, who account.Person) error {
	data := besideData{common: commonOf(r, who), inQueue: queueFrom(r)}
	codes := [2]map[string]bool{{}, {}}
	for i, id := range []string{r.PathValue("id"), r.PathValue("other")} {
		v, err := p.s.Case(r.Context(), id)
		if err != nil {
			return err
		}
		one := caseData{common: data.common, CaseView: v, Show: p.s.show(v.Subject)}
		if len(v.Sightings) > 0 {
			one.Report = v.Sightings[0].Report
		}
		if err := p.evidence(r.Context(), &one); err != nil {
			return err
		}
		for _, f := range one.Families {
			for _, e := range f.Rows {
				codes[i][e.Reason] = true
			}
		}
		data.Pair[i] = one
	}
	for code := range codes[0] {
		if codes[1][code] {
			data.Same = append(data.Same, code)
		}
	}
	return p.pages.Render(w, r, http.StatusOK, "beside", data)
}
