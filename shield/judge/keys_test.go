package judge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func values(all []Key) (out []string) {
	for _, k := range all {
		out = append(out, k.Value)
	}
	return out
}

func TestShapeKey(t *testing.T) {
	same := func(a, b string) bool {
		x, y := ShapeKey(a), ShapeKey(b)
		return len(x) == 1 && len(y) == 1 && x[0] == y[0]
	}
	for _, c := range [][2]string{
		{"https://a.example/secure/77/login.php?id=1&t=x", "https://b.example/secure/12345/login.php?t=2&id=9"},
		{"https://a.example/pakket/9f8a7b6c5d4e/betaal", "https://b.example/pakket/00112233aabb/betaal#x"},
		{"https://a.example/unlock/jan@x.example/step", "https://b.example/unlock/eva%40y.example/step"},
	} {
		if !same(c[0], c[1]) {
			t.Errorf("%s is %v, %s is %v", c[0], ShapeKey(c[0]), c[1], ShapeKey(c[1]))
		}
	}
	if same("https://a.example/secure/login/a.php", "https://a.example/secure/login/b.php") {
		t.Error("two paths are one")
	}
	for _, in := range []string{"https://a.example/", "https://a.example", "https://a.example/login", "https://a.example/a/b", "https://a.example/?x=1", "mailto:x@y.example", ""} {
		if k := ShapeKey(in); k != nil {
			t.Errorf("%q says %v: nothing is to be said of it", in, k)
		}
	}
}

func TestTextKeys_see_the_same_template(t *testing.T) {
	agree := func(a, b string) bool { return len(Agree(TextKeys(a), TextKeys(b)).Kinds) == 1 }
	for _, c := range [][2]string{
		{"Uw pakket 3SKABA123 wacht: betaal € 1,99 via https://a.example/x", "Uw pakket 3SXYZ998877 wacht: betaal € 2,49 via https://b.example/y"},
		{"Geachte heer Jansen, uw betaalpas verloopt binnen 3 dagen", "Geachte mevrouw De Vries, uw betaalpas verloopt binnen 12 dagen"},
		{"Cher Monsieur Dubois, votre compte sera bloqué demain", "Chère Madame Lefèvre, votre compte sera bloqué demain"},
	} {
		if !agree(c[0], c[1]) {
			t.Errorf("%q and %q:\n%v\n%v", c[0], c[1], textTemplate(c[0]), textTemplate(c[1]))
		}
	}
	if agree("Uw pakket 123 wacht: betaal de verzendkosten vandaag nog", "Your account has been suspended, please verify it at once") {
		t.Error("two texts are one")
	}
	if k := TextKeys("Uw factuur 12"); k != nil {
		t.Errorf("three words say %v", values(k))
	}
	if got := TextTitle("Geachte heer Jansen, uw betaalpas 1234 van jan@x.example verloopt"); strings.Contains(got, "jansen") || strings.Contains(got, "1234") || strings.Contains(got, "jan@") {
		t.Errorf("the title %q names somebody", got)
	}
}

func TestDOMKeys_find_every_hash_three_bits_away(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Uint64Range(1, 1<<64-1).Draw(t, "hash")
		b := a
		for _, bit := range rapid.SliceOfNDistinct(rapid.IntRange(0, 63), 0, 3, func(i int) int { return i }).Draw(t, "bits") {
			b ^= 1 << bit
		}
		if b == 0 {
			return
		}
		if !DOMNear(a, b) || len(Agree(DOMKeys(a), DOMKeys(b)).Kinds) != 1 {
			t.Fatalf("%x and %x share no band", a, b)
		}
	})
}

func TestNameKey_is_strong_where_something_was_chosen(t *testing.T) {
	b := brands(t)
	for name, strong := range map[string]bool{"exbank-x.example": false, "exbank-betaal7.example": true, "exbank-betaal.example": true, "exbank-login3.example": true} {
		k := NameKey(place(t, name), "Example Bank", b)
		if len(k) != 1 || k[0].Strong != strong {
			t.Errorf("%s: got %v, want strong %v", name, k, strong)
		}
	}
}

// Brand and language, and registrar with day, never join anything: not alone,
// not together, not however many of them there are.
func TestBrandAndRegistrationAloneNeverJoin(t *testing.T) {
	kinds := []KeyKind{KeyKit, KeyForm, KeyDOM, KeyIcon, KeyShape, KeyName, KeyRegister, KeyText, KeyBrand}
	rapid.Check(t, func(t *rapid.T) {
		var same []Key
		for i := range rapid.IntRange(0, 8).Draw(t, "n") {
			k := rapid.SampledFrom(kinds).Draw(t, "kind")
			same = append(same, Key{k, fmt.Sprint(i), rapid.Bool().Draw(t, "strong")})
		}
		got := Together(same)
		tells := slices.ContainsFunc(same, func(k Key) bool { return k.Kind != KeyRegister && k.Kind != KeyBrand })
		if got.Join && !tells {
			t.Fatalf("%v join", same)
		}
		strong := slices.ContainsFunc(same, func(k Key) bool { return k.Strong && k.Kind != KeyRegister && k.Kind != KeyBrand })
		if want := strong || tells && len(got.Kinds) >= 2; got.Join != want {
			t.Fatalf("%v: join %v", same, got.Join)
		}
		// The order does not matter, and neither does saying a thing twice.
		again := append(slices.Clone(same), same...)
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		if other := Together(again); other.Join != got.Join || !slices.Equal(other.Kinds, got.Kinds) {
			t.Fatalf("%v, then %v", got, other)
		}
	})
}

func TestFormKey_needs_a_path_and_scripts(t *testing.T) {
	a := FormKey("/send/step2.php", []string{"b", "a", "a"})
	if len(a) != 1 || !a[0].Strong || a[0] != FormKey("send/step7.php", []string{"a", "b"})[0] {
		t.Errorf("got %v", a)
	}
	if FormKey("/", []string{"a"}) != nil || FormKey("/x.php", nil) != nil {
		t.Error("a path alone, or scripts alone, are a key")
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("https://a.example/x/y?z=1", "Geachte heer X, uw pas 123")
	f.Fuzz(func(t *testing.T, u, text string) {
		for _, k := range append(ShapeKey(u), TextKeys(text)...) {
			if len(k.Value) > maxKey || k.Strong {
				t.Errorf("%v", k)
			}
		}
		if got := Agree(TextKeys(text), TextKeys(text)); got.Join {
			t.Errorf("a text alone joins: %v", got)
		}
		TextTitle(text)
	})
}
