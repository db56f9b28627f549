package door

import (
	"net/http"

	"bolwerk"
	"bolwerk/internal/openlog"
	"bolwerk/internal/web"
)

// logRoutes adds the transparency log to the site.
func (d *Door) logRoutes(routes map[string]web.Func) {
	if d.history == nil {
		return
	}
	for path, fn := range map[string]web.Func{"key": d.history.ServeKey, "checkpoint": d.history.ServeCheckpoint, "tile/": d.history.ServeTile, "names/{name}": d.logName} {
		routes["GET "+openlog.Prefix+path] = func(w http.ResponseWriter, r *http.Request) error {
			err := fn(w, r)
			if p := web.Explain(err); err != nil && p.Status != http.StatusInternalServerError {
				p.Write(w) // programs read here, whatever they accept
				return nil
			}
			return err
		}
	}
}

// logName opens what the log says about a name.
func (d *Door) logName(w http.ResponseWriter, r *http.Request) error {
	private(w.Header())
	if err := d.mayLook(r); err != nil {
		return err
	}
	name, err := parseName(r.PathValue("name"))
	var out openlog.Opened
	if err == nil {
		out, err = d.history.Look(name)
	}
	if err == nil && len(out.Entries) == 0 {
		err = bolwerk.WithHint(bolwerk.NotFound("the log opens nothing for %s", name), "it was never blocked here under exactly this name, or its name was erased from the log")
	}
	d.count.looked("log", err == nil, err)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// logged is where the transparency log opens a block: what a visitor can check.
type logged struct {
	Name  string
	Index int64
}

// loggedAs finds the leaf of a block that is in force, or else of the last one of
// that name. While the log is away there is none: the page says the rest.
func (d *Door) loggedAs(name bolwerk.Domain, b Listed, inForce bool) *logged {
	if d.history == nil {
		return nil
	}
	if inForce {
		var err error
		if name, err = bolwerk.ParseDomain(b.Name); err != nil {
			return nil
		}
	}
	out, err := d.history.Look(name)
	if err != nil {
		return nil
	}
	for _, e := range out.Entries {
		leaf, err := openlog.ParseLeaf([]byte(e.Leaf))
		if err == nil && !leaf.Pass && (inForce && leaf.Ref == b.Ref || !inForce && e.Ended != nil) {
			return &logged{name.String(), e.Index}
		}
	}
	return nil
}
