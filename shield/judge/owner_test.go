package judge

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever else is known of a name: a brand's owner raises it to suspicious at
// most, clears nothing, and is none of the kinds of evidence that a rule counts.
func TestABrandsOwnerNeitherBlocksNorClears(t *testing.T) {
	worse := map[Word]int{Clean: 0, Inconclusive: 0, Suspicious: 1, Malicious: 2}
	rapid.Check(t, func(t *rapid.T) {
		var all []Evidence
		for i := range rapid.IntRange(0, 6).Draw(t, "n") {
			all = append(all, Evidence{Family: rapid.SampledFrom([]Family{FamilyName, FamilyList, FamilyMessage, FamilyContent, FamilyKit, FamilyCrowd, FamilyCertificate}).Draw(t, "family"),
				Source: string(rune('a' + i)), Tier: Tier(rapid.IntRange(1, 3).Draw(t, "tier")), Reason: "x",
				Verdict: rapid.SampledFrom([]Word{Malicious, Suspicious, Clean, NoData, Failed}).Draw(t, "verdict"), Brand: rapid.SampledFrom([]string{"", "Anchor Bank"}).Draw(t, "brand")})
		}
		before := Judge(all)
		popular := rapid.Bool().Draw(t, "popular")
		for _, says := range SaysAll() {
			with := append(slices.Clone(all), OwnerEvidence("Anchor Bank", says, "we know them", popular))
			after := Judge(with)
			switch {
			case says != Imitates && after.Word != before.Word:
				t.Fatalf("%s made %s of %s", says, after.Word, before.Word)
			case says == Imitates && worse[after.Word] < worse[before.Word]:
				t.Fatalf("it lowered %s to %s", before.Word, after.Word)
			case after.Word == Malicious && before.Word != Malicious:
				t.Fatal("it made a name malicious")
			case !slices.Equal(Against(with), Against(all)):
				t.Fatalf("a rule counts it: %v", Against(with))
			}
			_, was := Basis(all)
			if _, is := Basis(with); is != was || SeenOnPage(with) != SeenOnPage(all) {
				t.Fatal("a rule may decide on it")
			}
		}
	})
}

// Alone it brings a name before a person.
func TestABrandsOwnerRaisesToSuspicious(t *testing.T) {
	if v := Judge([]Evidence{OwnerEvidence("Anchor Bank", Imitates, "", false)}); v.Word != Suspicious || v.Brand != "Anchor Bank" {
		t.Errorf("got %+v", v)
	}
	if _, err := ParseSays("block it"); err == nil {
		t.Error("an answer that there is not")
	}
}
