package garden

import (
	"slices"
	"strings"
)

// Plan is what kind of trouble it is, and so which steps help. Its name is that of the
// texts "garden.plan.NAME".
type Plan string

// The plans.
const (
	Windows   Plan = "windows"   // an infected Windows computer
	Mac       Plan = "mac"       // an infected Mac
	Phone     Plan = "phone"     // an infected telephone or tablet
	Thing     Plan = "thing"     // a camera, recorder, router or NAS whose malware is gone without power
	Stubborn  Plan = "stubborn"  // one whose malware stays
	Box       Plan = "box"       // one that came with its malware from the factory
	Unknown   Plan = "unknown"   // infected, but nobody knows which device
	Amplifier Plan = "amplifier" // a service that others attack with
	Service   Plan = "service"   // a service that should not be open
	Mailing   Plan = "mail"      // a mail account or program that sends spam
	Attack    Plan = "attack"    // something that scans, or tries passwords
	Site      Plan = "site"      // a site for phishing or malware on a server at home
)

// steps are those of each plan, in the order in which they help. Each has the texts
// "garden.step.ID.do" and ".why". The order of Thing is that of the study of a Dutch
// network's customers (Cetin et al., "Cleaning Up the Internet of Evil Things", NDSS
// 2019): off the net, off power, a new password, and only then again on the net.
var steps = map[Plan][]string{
	Windows:   {"w_update", "w_scan", "w_apps", "passwords"},
	Mac:       {"m_update", "m_apps", "m_scan", "passwords"},
	Phone:     {"p_apps", "p_scan", "p_update", "passwords"},
	Thing:     {"t_find", "t_power", "t_password", "t_update", "t_ports"},
	Stubborn:  {"t_find", "t_firmware", "t_reset", "t_password", "t_ports"},
	Box:       {"b_find", "b_off", "passwords"},
	Unknown:   {"find", "update", "scan", "t_power", "passwords"},
	Amplifier: {"s_find", "s_local", "s_close", "t_update"},
	Service:   {"s_find", "s_close", "t_password", "t_update"},
	Mailing:   {"e_password", "e_rules", "e_two", "e_program", "scan"},
	Attack:    {"find", "scan", "update", "t_password", "passwords"},
	Site:      {"h_off", "h_clean", "h_update", "h_password"},
}

// Steps are the ids of the plan's steps, in order.
func (p Plan) Steps() []string { return slices.Clone(steps[p]) }

// Chosen are the plans that a guest may choose from who knows better than we which
// device it is.
func Chosen() []Plan { return []Plan{Windows, Mac, Phone, Thing} }

// families of malware for devices that have no screen. Those of stubborn survive a
// restart, those of box are there when the device is new.
var (
	things   = []string{"mirai", "gafgyt", "bashlite", "mozi", "hajime", "moobot", "tsunami", "kaiten", "hiatus", "aisuru", "eleven11", "ddos.linux"}
	stubborn = []string{"qsnatch", "vpnfilter", "cyclops", "ech0raix", "deadbolt", "moonbounce"}
	boxes    = []string{"badbox", "vo1d", "triada"}
	phones   = []string{"android", "flubot", "anatsa", "joker", "hydra", "ios"}
	macs     = []string{"osx", "macos", "flashback", "shlayer"}
)

func anyIn(s string, of []string) bool {
	return slices.ContainsFunc(of, func(w string) bool { return strings.Contains(s, w) })
}

// PlanOf is the plan for a class of the taxonomy, the family of malware and the kind of
// device, both as far as they are known.
func PlanOf(class, family, device string) Plan {
	family, device = strings.ToLower(family), strings.ToLower(device)
	switch group, typ, _ := strings.Cut(class, "/"); {
	case class == "abusive-content/spam":
		return Mailing
	case typ == "ddos-amplifier":
		return Amplifier
	case group == "vulnerable", typ == "misconfiguration", typ == "data-leak":
		return Service
	case group == "fraud", typ == "malware-distribution", typ == "malware-configuration", typ == "application-compromise":
		return Site
	}
	switch {
	case anyIn(family, boxes):
		return Box
	case anyIn(family, stubborn):
		return Stubborn
	case anyIn(family, things):
		return Thing
	case anyIn(device, []string{"camera", "recorder", "dvr", "nas", "router", "iot", "printer", "thing"}):
		return Thing
	case anyIn(device, []string{"phone", "android", "ios", "tablet"}), anyIn(family, phones):
		return Phone
	case anyIn(device, []string{"mac"}), anyIn(family, macs):
		return Mac
	case strings.Contains(device, "windows"):
		return Windows
	case class == "malicious-code/infected-system" || class == "malicious-code/c2-server":
		return Unknown
	}
	return Attack
}

// Plan is the guest's: as PlanOf says, or chosen where that does not know the device
// and chosen is one of Chosen.
func (g Guest) Plan(chosen string) Plan {
	p := PlanOf(g.Class, g.Family, g.Device)
	if (p == Unknown || p == Attack) && slices.Contains(Chosen(), Plan(chosen)) {
		return Plan(chosen)
	}
	return p
}

// Left are the steps of the plan that are not ticked.
func (g Guest) Left(p Plan) []string {
	return slices.DeleteFunc(p.Steps(), func(id string) bool { return slices.Contains(g.Done, id) })
}

// Complete says that every step is ticked of the guest's plan, or of one that the guest may
// choose instead: what release by the guest alone asks for.
func (g Guest) Complete() bool {
	for _, chosen := range append([]Plan{""}, Chosen()...) {
		if len(g.Left(g.Plan(string(chosen)))) == 0 {
			return true
		}
	}
	return false
}

// Held says that the line is in quarantine. Else it is one that was only told of a case.
func (g Guest) Held() bool { return g.Quarantine != "" || g.Ref != "" }

// MayRelease says that the guest may end it alone: as the page offers it.
func (g Guest) MayRelease() bool {
	return g.Held() && g.SelfLeft > 0 && g.Complete() && g.State != "releasing"
}

// Step says that there is a step of that name.
func Step(id string) bool {
	for _, ids := range steps {
		if slices.Contains(ids, id) {
			return true
		}
	}
	return false
}
