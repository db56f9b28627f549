package door

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/openapi"
)

// openAPI describes the API of the public site, from the types that it speaks.
// The handlers are plain ones: their bodies are mails that no schema describes.
// A test holds each answer against this description.
func openAPI(cfg Config, more []func(*openapi.Doc)) ([]byte, error) {
	doc := description(cfg)
	for _, add := range more {
		add(doc)
	}
	return doc.JSON()
}

func description(cfg Config) *openapi.Doc {
	doc := openapi.New(cfg.Operator+": reports and look-ups", "Report suspicious links, texts and mails, see what became of a report, and ask whether a name is blocked. No account is needed. "+
		"Times are UTC (RFC 3339), names are lower-case A-labels. Errors are problem details (RFC 9457).")
	schema, answers, text := doc.Schema, doc.Answers, openapi.Text
	doc.AddOperation(&huma.Operation{
		OperationID: "report", Method: http.MethodPost, Path: "/api/v1/reports", Summary: "Report something suspicious",
		Description: "201 means that the report survives a power cut and will be looked at. The same Idempotency-Key with the same body within 24 hours gives the same receipt (until this host restarts); with another body 422.",
		Parameters: []*huma.Param{
			{Name: "form", In: "query", Schema: text(0, "evidence", "mail"), Description: "what the mail is: the suspicious mail itself (evidence), or a reporter's mail around it"},
			{Name: "lang", In: "query", Schema: text(0, "nl", "fr", "de", "en"), Description: "language of the reporter, where the body does not say it"},
			{Name: "Idempotency-Key", In: "header", Schema: text(maxKey), Description: "a text of your own for this report, so that it can be sent again"},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			typeJSON: {Schema: schema(ReportRequest{})},
			typeMail: {Schema: &huma.Schema{Type: huma.TypeString, Description: "a mail of at most " + strconv.FormatInt(cfg.MaxUpload>>20, 10) + " MiB, byte for byte"}},
		}},
		Responses: answers(http.StatusCreated, "It is kept", ReportAnswer{}, map[string]*huma.Param{
			"Location": {Description: "where the receipt can be read", Schema: text(0)}}, 400, 409, 413, 415, 422, 429, 503),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "receipt", Method: http.MethodGet, Path: "/api/v1/receipts/{code}", Summary: "What became of a report or an appeal",
		Parameters: []*huma.Param{{Name: "code", In: "path", Required: true, Schema: text(0), Description: "the receipt's code, in any case, with or without hyphens"}},
		Responses:  answers(http.StatusOK, "How it stands", Receipt{}, nil, 404, 429, 503),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "name", Method: http.MethodGet, Path: "/api/v1/names/{name}", Summary: "Whether a name is blocked here",
		Parameters: []*huma.Param{{Name: "name", In: "path", Required: true, Schema: text(0), Description: "a host name; U-labels are understood"}},
		Responses:  answers(http.StatusOK, "Whether it is blocked, since when, why and by whom", NameAnswer{}, nil, 400, 429, 503),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "name-of-link", Method: http.MethodGet, Path: "/api/v1/names", Summary: "Whether the name in a link is blocked here",
		Parameters: []*huma.Param{{Name: "q", In: "query", Required: true, Schema: text(maxName), Description: "a link or a name as it was received; hxxp and [.] are understood"}},
		Responses:  answers(http.StatusOK, "Whether it is blocked, since when, why and by whom", NameAnswer{}, nil, 400, 429, 503),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "warnings", Method: http.MethodGet, Path: "/api/v1/warnings", Summary: "Campaigns that people are warned of now",
		Responses: answers(http.StatusOK, "The current warnings", WarningsAnswer{}, nil, 503),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "figures", Method: http.MethodGet, Path: "/api/v1/figures", Summary: "Figures of the whole years, and of this year's months that are over",
		Responses: answers(http.StatusOK, "The figures as they were published", map[string]any{}, nil, 404),
	})
	return doc
}
