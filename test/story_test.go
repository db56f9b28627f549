package test

import (
	"testing"

	"bolwerk/test/story"
)

func TestMain(m *testing.M) { story.Main(m) }

func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("stories take a minute: not with -short")
	}
	story.Run(t, "testdata", nil)
}
