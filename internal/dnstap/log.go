package dnstap

import "strings"

// ParseLog reads a line of the log in which BIND (category rpz) or Unbound
// (rpz-log) says that a policy zone made an answer; false where it says something
// else. The client's address that stands there is not looked at.
func ParseLog(line string) (r Response, ok bool) {
	if len(line) > 4096 {
		return r, false
	}
	if _, rest, found := strings.Cut(line, ": rpz QNAME "); found { // BIND: ACTION rewrite NAME/TYPE/CLASS via TRIGGER.ZONE
		action, rest, _ := strings.Cut(rest, " rewrite ")
		asked, trigger, found := strings.Cut(rest, " via ")
		name, _, _ := strings.Cut(asked, "/")
		if !found || action == "PASSTHRU" || name == "" {
			return r, false
		}
		trigger, _, _ = strings.Cut(strings.TrimSuffix(strings.TrimSpace(trigger), "."), " ")
		r.Name, r.Policy = strings.TrimSuffix(name, "."), lastLabels(trigger)
		return r, r.Name != "" && r.Policy != ""
	}
	_, rest, found := strings.Cut(line, "rpz: applied ") // Unbound: [ZONE] TRIGGER ACTION CLIENT NAME TYPE CLASS
	if !found {
		return r, false
	}
	f := strings.Fields(rest)
	if len(f) < 7 || !strings.HasPrefix(f[0], "[") || !strings.HasSuffix(f[0], "]") || f[2] == "rpz-passthru" {
		return r, false
	}
	r.Policy, r.Name = f[0][1:len(f[0])-1], strings.TrimSuffix(f[4], ".")
	return r, r.Name != "" && r.Policy != ""
}

// lastLabels are the last two labels of a name.
func lastLabels(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return ""
	}
	return name[strings.LastIndexByte(name[:i], '.')+1:]
}
