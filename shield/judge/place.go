package judge

import (
	"bufio"
	_ "embed"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/internal/suffix"
)

//go:embed platforms.txt
var platformText string

// PlatformKind says how strangers share a platform's name.
type PlatformKind string

// The kinds of platform. Only TenantSubdomain gives a tenant a name that DNS can
// block; on all others a verdict stays with the address of the page.
const (
	TenantSubdomain PlatformKind = "tenant_subdomain"
	TenantPath      PlatformKind = "tenant_path"
	Shortener       PlatformKind = "shortener"
	ESP             PlatformKind = "esp"
	Wrapper         PlatformKind = "wrapper"
	CDN             PlatformKind = "cdn"
)

// Platform is a name under which strangers have pages, links or files.
type Platform struct {
	// Name is the platform's own, such as pages.example.
	Name bolwerk.Domain `toml:"name"`
	// Kind is tenant_subdomain, tenant_path, shortener, esp, wrapper or cdn. Only
	// a tenant_subdomain has a name of its own that DNS can block.
	Kind PlatformKind `toml:"kind"`
	// MinLabels is how many labels a tenant's name has; 0: one more than Name.
	MinLabels int `toml:"min_labels"`
}

// Platforms is the compiled platform list with the operator's rows.
type Platforms struct{ byName map[bolwerk.Domain]Platform }

// NewPlatforms joins the compiled list with rows, which win where both have a
// name. The error names a row that is not valid.
func NewPlatforms(rows ...Platform) (*Platforms, error) {
	p := &Platforms{byName: map[bolwerk.Domain]Platform{}}
	for _, r := range append(corePlatforms(), rows...) {
		switch r.Kind {
		case TenantSubdomain, TenantPath, Shortener, ESP, Wrapper, CDN:
		default:
			return nil, bolwerk.Invalid("platform %s: kind %q: want tenant_subdomain, tenant_path, shortener, esp, wrapper or cdn", r.Name, r.Kind)
		}
		if r.MinLabels == 0 {
			r.MinLabels = r.Name.Labels() + 1
		}
		if r.Name.Labels() < 2 || r.MinLabels <= r.Name.Labels() {
			return nil, bolwerk.Invalid("platform %s: a platform has two labels or more, and a tenant more than it", r.Name)
		}
		p.byName[r.Name] = r
	}
	return p, nil
}

// Len is the number of platforms.
func (p *Platforms) Len() int { return len(p.byName) }

// at is the platform with the longest name that is d or stands above it.
func (p *Platforms) at(d bolwerk.Domain) (Platform, bool) {
	for ; !d.IsZero(); d = d.Parent() {
		if f, ok := p.byName[d]; ok {
			return f, true
		}
	}
	return Platform{}, false
}

// corePlatforms reads the compiled file. It is ours: a mistake in it is found by
// the tests, so it panics.
func corePlatforms() (list []Platform) {
	lines := bufio.NewScanner(strings.NewReader(platformText))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		f := Platform{Name: bolwerk.MustDomain(words[1]), Kind: PlatformKind(words[0])}
		if len(words) > 2 {
			n, err := strconv.Atoi(words[2])
			if err != nil {
				panic(err)
			}
			f.MinLabels = n
		}
		list = append(list, f)
	}
	return list
}

// Place says where a name stands: under which suffix, and who has it.
type Place struct {
	Name    bolwerk.Domain
	Suffix  bolwerk.Domain
	Section suffix.Section
	// Registrable is the suffix and one label more; zero where Name is a suffix.
	Registrable bolwerk.Domain
	// Shared says that strangers share the name or stand directly below it:
	// Platform is set, and the name is no tenant's.
	Shared bool
	// Platform is the platform at or above Name; Kind is empty without one, and
	// TenantSubdomain for a private suffix.
	Platform Platform
	// Tenant is the tenant's label with all above it, where the name is at or
	// below one; zero otherwise.
	Tenant bolwerk.Domain
	// Splits says that a public suffix stands below Name or below its
	// registrable domain: names below belong to strangers.
	Splits bool
}

// Owner is the name that one party has: the tenant's, else the registrable
// domain. It is zero for a public suffix.
func (p Place) Owner() bolwerk.Domain {
	if !p.Tenant.IsZero() {
		return p.Tenant
	}
	return p.Registrable
}

// reserved are labels that platforms keep for themselves; nobody's tenant name
// begins with one of them.
var reserved = map[string]bool{"www": true, "api": true, "app": true, "admin": true, "mail": true, "static": true,
	"assets": true, "cdn": true, "status": true, "login": true, "accounts": true, "dashboard": true, "smtp": true, "ns1": true, "ns2": true}

// PlaceOf finds where d stands. Where the public suffix list and the platform
// list both have a word, the one with more labels decides, and at the same name
// the platform list.
func PlaceOf(d bolwerk.Domain, psl *suffix.List, platforms *Platforms) Place {
	p := Place{Name: d}
	p.Suffix, p.Section = psl.Suffix(d)
	p.Registrable, _ = psl.Registrable(d)
	p.Splits = psl.Splits(d) || psl.Splits(p.Registrable)
	f, ok := platforms.at(d)
	if private := p.Section == suffix.Private; private && (!ok || f.Name.Labels() < p.Suffix.Labels()) {
		f, ok = Platform{p.Suffix, TenantSubdomain, p.Suffix.Labels() + 1}, true
	}
	if !ok {
		return p
	}
	p.Platform = f
	if f.Kind != TenantSubdomain || d.Labels() < f.MinLabels {
		p.Shared = true
		return p
	}
	tenant := d
	for tenant.Labels() > f.MinLabels {
		tenant = tenant.Parent()
	}
	first, _, _ := strings.Cut(tenant.String(), ".")
	// A suffix of the public list keeps only "www" for itself: its owner put it
	// there because everything else is given away.
	if first == "www" || reserved[first] && f.Name != p.Suffix {
		p.Shared = true
		return p
	}
	p.Tenant = tenant
	return p
}
