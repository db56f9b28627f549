package shield

import (
	"slices"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/shield/aid"
)

// A number that people can call and that nobody has checked for long is an alarm,
// with the names of those.
func TestAnOverdueReviewIsAnAlarm(t *testing.T) {
	partners := aid.Partners{
		{Name: "Card stop", Reviewed: aid.Day(start.AddDate(0, -7, 0))},
		{Name: "Police", Reviewed: aid.Day(start)},
		{Name: "Bank", Reviewed: aid.Day(start.AddDate(0, 0, -20)), ReviewAfter: bolwerk.Duration(14 * 24 * time.Hour)},
	}
	late := partners.Late(start)
	if !slices.Equal(late, []string{"Card stop", "Bank"}) {
		t.Fatalf("late are %v", late)
	}
	all := Picture{}.alarms(start, Today{}, nil, late)
	if len(all) != 1 || all[0].Key != "shield.alarm.partners" || all[0].Args[0] != 2 || all[0].Args[1] != "Card stop, Bank" || all[0].Harm {
		t.Errorf("alarms %+v", all)
	}
	if none := (Picture{}).alarms(start, Today{}, nil, nil); len(none) != 0 {
		t.Errorf("alarms without a reason: %+v", none)
	}
}
