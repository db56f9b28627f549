package web

import (
	"maps"
	"net/http"

	"bolwerk/internal/brand"
)

// look is one brand of a site: its name, texts, stylesheet and logo. Which one a
// visitor sees follows from the name under which he reached the site.
type look struct {
	number int
	brand  brand.Brand
	texts  *Texts
	paths  map[string]string
}

// reworded are texts with those of the brand in their place.
func reworded(t *Texts, b brand.Brand) (*Texts, error) {
	own, err := ReadReplacements(b.Texts)
	if err != nil {
		return nil, err
	}
	return t.Replaced(own), nil
}

func (f *Frame) loadLooks(ours *Texts, scheme string) error {
	f.looks = []*look{{brand: f.site.Config.Brand, texts: f.texts, paths: f.paths}}
	f.under = map[string]*look{}
	for i, sub := range f.site.Config.Subs {
		l := &look{number: i + 1, brand: sub.Brand, paths: maps.Clone(f.paths)}
		delete(l.paths, "logo")
		var err error
		if l.texts, err = reworded(ours, sub.Brand); err != nil {
			return err
		}
		if l.paths["bolwerk.css"], err = f.keep("bolwerk.css", append(f.css[:len(f.css):len(f.css)], brandCSS(sub.Brand)...)); err != nil {
			return err
		}
		if err := f.addLogo(sub.Brand, l.paths); err != nil {
			return err
		}
		f.looks = append(f.looks, l)
		for _, h := range sub.Hosts {
			h = hostOnly(h)
			f.hosts[h], f.under[h] = true, l
			if err := f.guard.AddTrustedOrigin(scheme + "://" + h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Frame) look(r *http.Request) *look {
	if l := f.under[hostOnly(r.Host)]; l != nil {
		return l
	}
	return f.looks[0]
}

// Brand is the one under whose name the request came.
func (f *Frame) Brand(r *http.Request) brand.Brand { return f.look(r).brand }

// TextsFor are the texts of the brand under whose name the request came.
func (f *Frame) TextsFor(r *http.Request) *Texts { return f.look(r).texts }
