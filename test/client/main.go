// Command client is a program of somebody else: it reports a link, blocks a name
// and reads lists through clients generated from our descriptions.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"bolwerk.example/client/desk"
	"bolwerk.example/client/public"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: client DESK PUBLIC TOKENFILE")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, deskURL, publicURL, tokenFile string) error {
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return err
	}
	d, err := desk.NewClientWithResponses(deskURL, desk.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		return nil
	}))
	if err != nil {
		return err
	}
	p, err := public.NewClientWithResponses(publicURL)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return report(ctx, p) },
		func() error { return block(ctx, d) },
		func() error { return refusals(ctx, d, deskURL) },
		func() error { return lists(ctx, d) },
		func() error { return look(ctx, d, p) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	fmt.Println("all answers are as they are described")
	return nil
}

func ptr[T any](v T) *T { return &v }

// report reports a link and looks at its receipt.
func report(ctx context.Context, p *public.ClientWithResponses) error {
	made, err := p.ReportWithResponse(ctx, nil, public.ReportRequest{Url: ptr("https://generated-client.example/login"), Lang: ptr(public.ReportRequestLang("nl"))})
	if err != nil {
		return err
	}
	if made.JSON201 == nil || made.JSON201.Receipt == "" {
		return fmt.Errorf("report: %s %s", made.Status(), made.Body)
	}
	got, err := p.ReceiptWithResponse(ctx, made.JSON201.Receipt)
	if err != nil {
		return err
	}
	if got.JSON200 == nil {
		return fmt.Errorf("receipt: %s %s", got.Status(), got.Body)
	}
	return nil
}

const name = "generated-client.example"

// block asks what a block would come to, places it, twice with one key, and
// withdraws it.
func block(ctx context.Context, d *desk.ClientWithResponses) error {
	body := desk.AddBlockBody{Name: name, Reason: "asks for the bank password", Class: ptr(desk.AddBlockBodyClass("phishing")), AskedFor: &[]desk.AddBlockBodyAskedFor{"password"}}
	dry, err := d.PostBlocksWithResponse(ctx, &desk.PostBlocksParams{DryRun: ptr(true)}, body)
	if err != nil {
		return err
	}
	if dry.JSON200 == nil || dry.JSON200.State != "would_block" {
		return fmt.Errorf("dry run: %s %s", dry.Status(), dry.Body)
	}
	key := &desk.PostBlocksParams{IdempotencyKey: ptr("a key of ours")}
	var ids [2]string
	for i := range ids {
		out, err := d.PostBlocksWithResponse(ctx, key, body)
		if err != nil {
			return err
		}
		if out.JSON201 == nil || out.JSON201.State != "blocked" || out.JSON201.Block == nil {
			return fmt.Errorf("block: %s %s", out.Status(), out.Body)
		}
		ids[i] = out.JSON201.Id
	}
	if ids[0] != ids[1] {
		return fmt.Errorf("the same key made %s and %s", ids[0], ids[1])
	}
	body.Name, body.Scope = "all-of-it.example", ptr(desk.AddBlockBodyScope("registrable"))
	second, err := d.PostBlocksWithResponse(ctx, nil, body)
	if err != nil {
		return err
	}
	if second.JSON202 == nil || second.JSON202.Proposal == nil {
		return fmt.Errorf("what needs a second person: %s %s", second.Status(), second.Body)
	}
	view, err := d.GetBlocksIdWithResponse(ctx, name)
	if err != nil {
		return err
	}
	if view.JSON200 == nil || view.JSON200.Name != name {
		return fmt.Errorf("the block: %s %s", view.Status(), view.Body)
	}
	gone, err := d.PostBlocksIdWithdrawWithResponse(ctx, ids[0], nil, desk.EndInBody{Reason: "we were wrong", Cause: ptr(desk.EndInBodyCause("false_positive"))})
	if err != nil {
		return err
	}
	if gone.JSON200 == nil || gone.JSON200.State != "withdrawn" {
		return fmt.Errorf("withdrawal: %s %s", gone.Status(), gone.Body)
	}
	return nil
}

// refusals come as problem details with a hint.
func refusals(ctx context.Context, d *desk.ClientWithResponses, deskURL string) error {
	guard, err := d.PostBlocksWithResponse(ctx, nil, desk.AddBlockBody{Name: "com", Reason: "everything is bad"})
	if err != nil {
		return err
	}
	if p := guard.ApplicationproblemJSON403; p == nil || p.Detail == nil || p.Hint == nil {
		return fmt.Errorf("a guard: %s %s", guard.Status(), guard.Body)
	}
	twice, err := d.PostBlocksIdWithdrawWithResponse(ctx, name, nil, desk.EndInBody{Reason: "again"})
	if err != nil {
		return err
	}
	if twice.ApplicationproblemJSON409 == nil && twice.ApplicationproblemJSON404 == nil {
		return fmt.Errorf("withdrawn twice: %s %s", twice.Status(), twice.Body)
	}
	nobody, err := desk.NewClientWithResponses(deskURL)
	if err != nil {
		return err
	}
	stranger, err := nobody.GetBlocksWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	if stranger.ApplicationproblemJSON401 == nil {
		return fmt.Errorf("without a token: %s %s", stranger.Status(), stranger.Body)
	}
	return nil
}

// lists follows a list page by page, and fetches what is in force.
func lists(ctx context.Context, d *desk.ClientWithResponses) error {
	seen, cursor := 0, (*string)(nil)
	for {
		page, err := d.GetBlocksWithResponse(ctx, &desk.GetBlocksParams{Limit: ptr(int64(1)), Cursor: cursor})
		if err != nil {
			return err
		}
		if page.JSON200 == nil {
			return fmt.Errorf("a page of blocks: %s %s", page.Status(), page.Body)
		}
		if page.JSON200.Items != nil {
			seen += len(*page.JSON200.Items)
		}
		if cursor = page.JSON200.Next; cursor == nil {
			break
		}
	}
	if seen == 0 {
		return fmt.Errorf("a demo without blocks")
	}
	feed, err := d.GetFeedCsvWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	if feed.StatusCode() != http.StatusOK || !strings.HasPrefix(string(feed.Body), "name,") {
		return fmt.Errorf("feed: %s %.200s", feed.Status(), feed.Body)
	}
	tag := feed.HTTPResponse.Header.Get("ETag")
	again, err := d.GetFeedCsvWithResponse(ctx, &desk.GetFeedCsvParams{IfNoneMatch: &tag})
	if err != nil {
		return err
	}
	if again.StatusCode() != http.StatusNotModified {
		return fmt.Errorf("feed with its ETag: %s", again.Status())
	}
	return nil
}

// look reads each kind of answer that a dashboard would.
func look(ctx context.Context, d *desk.ClientWithResponses, p *public.ClientWithResponses) error {
	now, err := d.GetNowWithResponse(ctx)
	if err != nil {
		return err
	}
	today, err := d.GetTodayWithResponse(ctx)
	if err != nil {
		return err
	}
	figures, err := d.GetFiguresWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	cases, err := d.GetCasesWithResponse(ctx, &desk.GetCasesParams{State: &[]desk.GetCasesParamsState{"waiting", "decided"}})
	if err != nil {
		return err
	}
	explained, err := d.GetNamesNameWithResponse(ctx, name)
	if err != nil {
		return err
	}
	asked, err := p.NameWithResponse(ctx, name)
	if err != nil {
		return err
	}
	if now.JSON200 == nil || today.JSON200 == nil || figures.JSON200 == nil || cases.JSON200 == nil || explained.JSON200 == nil || asked.JSON200 == nil {
		return fmt.Errorf("now %s, today %s, figures %s, cases %s, name %s, public name %s", now.Status(), today.Status(), figures.Status(), cases.Status(), explained.Status(), asked.Status())
	}
	return nil
}
