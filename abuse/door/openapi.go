package door

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/openapi"
)

// Describe adds the API of the abuse desk to the description of the public site's. A
// test holds each route and answer against it.
func Describe(doc *openapi.Doc) {
	content := map[string]*huma.MediaType{}
	for kind := range types {
		content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: "a report in any of the field's formats, byte for byte, of at most 25 MiB: what it is, is found by reading"}}
	}
	content["application/json"] = &huma.MediaType{Schema: &huma.Schema{Description: "one report, such as XARF 4, or a list of them", AnyOf: []*huma.Schema{{Type: huma.TypeObject}, {Type: huma.TypeArray, Items: &huma.Schema{}}}}}
	doc.AddOperation(&huma.Operation{
		OperationID: "report-abuse", Method: http.MethodPost, Path: "/api/v1/abuse/reports", Summary: "Report abuse that comes from this operator's network",
		Description: "201 means that the report survives a power cut and will be read. The same Idempotency-Key from the same network with the same body within 24 hours gives the same code and has no further effect, after a restart of this host too; with another body 422.",
		Parameters: []*huma.Param{
			{Name: "name", In: "query", Schema: openapi.Text(200), Description: "name of the file, which tells the type of a table"},
			{Name: "Idempotency-Key", In: "header", Schema: openapi.Text(255), Description: "a text of your own for this report, so that it can be sent again"},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: content},
		Responses: doc.Answers(http.StatusCreated, "It is kept", Taken{}, map[string]*huma.Param{
			"Location": {Description: "where the report's status can be read", Schema: openapi.Text(0)}}, 400, 409, 413, 415, 422, 429, 503),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "abuse-report", Method: http.MethodGet, Path: "/api/v1/abuse/reports/{code}", Summary: "What became of a report of abuse",
		Parameters: []*huma.Param{{Name: "code", In: "path", Required: true, Schema: openapi.Text(0), Description: "the report's code, in any case, with or without hyphens"}},
		Responses:  doc.Answers(http.StatusOK, "How it stands", Status{}, nil, 404, 429, 503),
	})
}
