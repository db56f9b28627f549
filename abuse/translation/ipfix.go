package translation

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"bolwerk"
	"bolwerk/abuse/session"
)

// Information elements of RFC 8158, section 5, and of the registry of IANA.
const (
	elementSource   = 8   // sourceIPv4Address
	elementOutside  = 225 // postNATSourceIPv4Address
	elementNATEvent = 230
	elementAt       = 323 // observationTimeMilliseconds
	elementFirst    = 361 // portRangeStart
	elementLast     = 362 // portRangeEnd
	elementSource6  = 27  // sourceIPv6Address, of NAT64 and DS-Lite
)

// Values of natEvent (RFC 8158, section 5.2): blocks of ports. Single translations are
// not kept: there are thousands a second of each customer, and where a translator gives
// blocks they say no more.
const (
	eventBlockGiven = 16
	eventBlockTaken = 17
)

// Bounds of what exporters may have us keep.
const (
	maxTemplates = 64  // of one exporter
	maxFields    = 100 // of a template
	maxDomains   = 8   // observation domains of one exporter
	maxRecords   = 500 // of a message
)

// Exporter is one translator that sends IPFIX: the templates that it told.
type Exporter struct{ templates *bounded }

// NewExporter knows no templates yet: what comes before them is not read.
func NewExporter() *Exporter { return &Exporter{&bounded{known: map[[2]uint32]any{}}} }

// bounded is the templates of an exporter.
type bounded struct{ known map[[2]uint32]any }

func (b *bounded) AddTemplate(_ uint16, domain uint32, id uint16, t any) error {
	key := [2]uint32{domain, uint32(id)}
	var fields []netflow.Field
	switch t := t.(type) {
	case netflow.TemplateRecord:
		fields = t.Fields
	case netflow.IPFIXOptionsTemplateRecord:
		fields = append(append(fields, t.Scopes...), t.Options...)
	}
	// The decoder reads records of no octets for ever.
	if n := netflow.GetTemplateSize(10, fields); n == 0 || len(fields) > maxFields {
		delete(b.known, key)
		return bolwerk.Invalid("IPFIX: a template of %d fields and %d octets", len(fields), n)
	}
	if _, had := b.known[key]; !had && len(b.known) >= maxTemplates*maxDomains {
		return bolwerk.Invalid("IPFIX: more than %d templates", maxTemplates*maxDomains)
	}
	b.known[key] = t
	return nil
}

func (b *bounded) GetTemplate(_ uint16, domain uint32, id uint16) (any, error) {
	t, ok := b.known[[2]uint32{domain, uint32(id)}]
	if !ok {
		return nil, bolwerk.NotFound("IPFIX: template %d is not known", id)
	}
	return t, nil
}

func (b *bounded) RemoveTemplate(_ uint16, domain uint32, id uint16) (any, error) {
	key := [2]uint32{domain, uint32(id)}
	t := b.known[key]
	delete(b.known, key)
	return t, nil
}

func (b *bounded) GetTemplates() netflow.FlowBaseTemplateSet { return nil }

// maxAway is how far an exporter's clock may be from ours to be believed.
const maxAway = 5 * time.Minute

// Read gives the blocks that a message tells of. Other records are skipped; records
// whose template is not known yet are an error, beside what could be read.
func (x *Exporter) Read(message []byte, nas string, came time.Time) (out []session.Record, err error) {
	if len(message) < 16 || binary.BigEndian.Uint16(message) != 10 {
		return nil, bolwerk.Invalid("IPFIX: %d octets, or another version", len(message))
	}
	var p netflow.IPFIXPacket
	if err = netflow.DecodeMessageVersion(bytes.NewBuffer(message), x.templates, nil, &p); err != nil {
		err = bolwerk.Invalid("IPFIX: %v", err)
	}
	for _, set := range p.FlowSets {
		data, ok := set.(netflow.DataFlowSet)
		if !ok {
			continue
		}
		for _, r := range data.Records {
			if len(out) == maxRecords {
				return out, bolwerk.Invalid("IPFIX: more than %d blocks in a message", maxRecords)
			}
			rec, ok, bad := block(r.Values, nas, came)
			if bad != nil {
				err = bad
			}
			if ok {
				out = append(out, rec)
			}
		}
	}
	return out, err
}

func block(fields []netflow.DataField, nas string, came time.Time) (r session.Record, ok bool, err error) {
	var inside, outside netip.Addr
	var event, first, last uint64
	at := came
	for _, f := range fields {
		v, isBytes := f.Value.([]byte)
		if !isBytes || f.PenProvided && f.Pen != 0 {
			continue
		}
		switch f.Type {
		case elementNATEvent:
			event = number(v)
		case elementSource, elementSource6:
			if a, ok := netip.AddrFromSlice(v); ok && !a.IsUnspecified() {
				inside = a
			}
		case elementOutside:
			outside, _ = netip.AddrFromSlice(v)
		case elementFirst:
			first = number(v)
		case elementLast:
			last = number(v)
		case elementAt:
			if said := time.UnixMilli(int64(number(v))); said.Sub(came).Abs() <= maxAway {
				at = said.UTC()
			}
		}
	}
	kind := map[uint64]session.Kind{eventBlockGiven: session.Start, eventBlockTaken: session.Stop}[event]
	if kind == "" {
		return r, false, nil
	}
	if !inside.IsValid() || !outside.IsValid() || first > 65535 || last > 65535 {
		return r, false, bolwerk.Invalid("IPFIX: a block of ports without its addresses or ports")
	}
	r, err = record(kind, nas, inside, outside, uint16(first), uint16(last), at)
	return r, err == nil, err
}

// number reads an unsigned integer, which may be sent shorter than it could be (RFC
// 7011, section 6.2).
func number(v []byte) (n uint64) {
	if len(v) > 8 {
		return 0
	}
	for _, b := range v {
		n = n<<8 | uint64(b)
	}
	return n
}
