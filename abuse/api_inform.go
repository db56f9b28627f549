package abuse

import (
	"bytes"
	"context"

	"bolwerk/abuse/contact"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
)

// informAPI adds the routes of informing.
func (d *Desk) informAPI(x *api.Routes) {
	api.Add(x, account.Look, "GET", "/abuse/cases/{id}/messages", "What the subscriber of a case was told, newest first; what the messages say, for who may decide. The look is noted.", func(ctx context.Context, in *CaseID) (*api.Answer[api.Page[inform.Message]], error) {
		all, err := d.Messages(ctx, api.Who(ctx), in.ID)
		return whole(all), err
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/messages", "Tell the subscriber of a case something, by the ways that lead there.", func(ctx context.Context, in *decideIn[informBody]) (*api.Answer[api.Page[inform.Message]], error) {
		all, err := d.Inform(ctx, api.Who(ctx), in.ID, inform.Kind(in.Body.Kind), in.Body.Channels)
		return whole(all), err
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/messages/draft", "What the subscriber of a case would be told. Nothing is sent; the look is noted.", func(ctx context.Context, in *decideIn[informBody]) (*api.Answer[api.Page[inform.Draft]], error) {
		if d.inform == nil {
			return nil, errUninformed
		}
		all, err := d.inform.Show(ctx, api.Who(ctx).Actor(), in.ID, inform.Kind(in.Body.Kind), in.Body.Channels)
		return whole(all), err
	})
	api.Add(x, account.Decide, "POST", "/abuse/messages/{id}/state", "Say what became of a message: delivered or failed, by the system of yours that it was given to; seen, where the customer saw it in your app or was told by a person. Said again it changes nothing.", func(ctx context.Context, in *decideIn[stateBody]) (*api.Answer[done], error) {
		if d.inform == nil {
			return nil, errUninformed
		}
		if in.Body.State == "seen" {
			return &api.Answer[done]{Body: done{in.Body.State}}, d.inform.Saw(ctx, api.Who(ctx).Actor(), in.ID)
		}
		return &api.Answer[done]{Body: done{in.Body.State}}, d.inform.Told(ctx, in.ID, in.Body.State)
	})
	api.Add(x, account.Decide, "POST", "/abuse/contacts", "Tell how subscribers are reached, at most 500 at once; each in place of what was told before.", func(ctx context.Context, in *contactsIn) (*api.Answer[contactsTaken], error) {
		return &api.Answer[contactsTaken]{Body: contactsTaken{len(in.Body.Contacts)}}, d.p.Contacts.Put(ctx, api.Who(ctx).Actor(), in.Body.File, in.Body.Contacts)
	})
	api.AddUpTo(x, maxContacts, account.Decide, "POST", "/abuse/contacts/import", "The same from a file: a table, or a contact a line in JSON. A line that cannot be taken costs only itself.", func(ctx context.Context, in *contactFileIn) (*api.Answer[contact.Result], error) {
		file := in.Name
		if file == "" {
			file = "contacts"
		}
		res, err := contact.Read(bytes.NewReader(in.RawBody), func(all []contact.Entry) error {
			err := d.p.Contacts.Put(ctx, api.Who(ctx).Actor(), file, all)
			file = ""
			return err
		})
		return &api.Answer[contact.Result]{Body: res}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/contacts/find", "How a subscriber is reached. The look is noted.", func(ctx context.Context, in *bodyIn[findBody]) (*api.Answer[contact.Entry], error) {
		e, err := d.ContactOf(ctx, api.Who(ctx).Actor(), in.Body.who(), in.Body.Reason, in.Body.Case)
		return &api.Answer[contact.Entry]{Body: e}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/contacts/remove", "Take a subscriber out of the book of contacts.", func(ctx context.Context, in *bodyIn[findBody]) (*api.Answer[done], error) {
		return &api.Answer[done]{Body: done{"removed"}}, d.RemoveContact(ctx, api.Who(ctx).Actor(), in.Body.who(), in.Body.Reason)
	})
}

// whole is a list that has one page.
func whole[T any](all []T) *api.Answer[api.Page[T]] {
	if all == nil {
		all = []T{}
	}
	return &api.Answer[api.Page[T]]{Body: api.Page[T]{Items: all}}
}

type bodyIn[T any] struct{ Body T }

type informBody struct {
	Kind     string   `json:"kind" enum:"warned,quarantined,reminded,released,cleaned,mistaken"`
	Channels []string `json:"channels,omitempty" maxItems:"4" doc:"of mail, sms, letter, app; absent: what the subscriber prefers"`
}

type stateBody struct {
	State string `json:"state" enum:"delivered,failed,seen"`
}

// maxContacts bounds a file of contacts, in octets: a hundred thousand of them. The
// command line takes larger ones, in parts.
const maxContacts = 25 << 20

type contactsIn struct {
	Body struct {
		File     string          `json:"file,omitempty" maxLength:"255" doc:"is noted in the audit trail; absent: these are more of the same"`
		Contacts []contact.Entry `json:"contacts" maxItems:"500"`
	}
}

type contactsTaken struct {
	Taken int `json:"taken"`
}

type findBody struct {
	Subscriber string `json:"subscriber,omitempty" maxLength:"253" doc:"as accounting names it"`
	Line       string `json:"line,omitempty" maxLength:"253"`
	Reason     string `json:"reason" maxLength:"500" doc:"why, in words"`
	Case       string `json:"case,omitempty" maxLength:"64"`
}

func (f findBody) who() session.Identity {
	return session.Identity{Subscriber: f.Subscriber, Line: f.Line}
}

type contactFileIn struct {
	Name    string `query:"name" maxLength:"200" doc:"is noted in the audit trail"`
	RawBody []byte `contentType:"application/octet-stream"`
}
