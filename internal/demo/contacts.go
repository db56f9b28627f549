package demo

import (
	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/notice"
)

// Contacts are how some of the invented customers are reached; of the others nobody told.
func Contacts() []contact.Entry {
	return []contact.Entry{
		{Subscriber: "anna@bolwerk.example", Name: "Anna Peeters", Mail: "anna@thuis.example", Phone: "+32 470 00 00 17", Street: "Kerkstraat 17", Postcode: "1000", City: "Brussel", Country: "BE", Lang: bolwerk.NL},
		{Subscriber: "bakkerij-de-molen@bolwerk.example", Name: "Bakkerij De Molen", Mail: "info@demolen.example", Street: "Molenstraat 2", Postcode: "9000", City: "Gent", Country: "BE", Lang: bolwerk.NL, Flags: contact.Flags{Business: true}},
		{Subscriber: "claire@bolwerk.example", Name: "Claire Dubois", Street: "Rue du Marché 4", Postcode: "4000", City: "Liège", Country: "BE", Lang: bolwerk.FR, Channels: []notice.Channel{notice.Letter}},
		{Subscriber: "dries@bolwerk.example", Name: "Dries Janssens", Mail: "dries@thuis.example", Lang: bolwerk.NL, Flags: contact.Flags{Vulnerable: true}},
		{Subscriber: "elif@bolwerk.example", Name: "Elif Yilmaz", Mail: "elif@zuhause.example", Street: "Bahnhofstraße 9", Postcode: "4700", City: "Eupen", Country: "BE", Lang: bolwerk.DE},
		{Subscriber: "fatima@bolwerk.example", Name: "Fatima El Amrani", Mail: "fatima@thuis.example", Lang: bolwerk.NL},
		{Subscriber: "gust@bolwerk.example", Name: "Gust Maes", Mail: "gust@thuis.example", Lang: bolwerk.NL},
		{Subscriber: "school-oost@bolwerk.example", Name: "School Oost", Mail: "ict@schooloost.example", Lang: bolwerk.NL, Flags: contact.Flags{Business: true, Never: true}},
	}
}
