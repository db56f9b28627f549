package shield

import (
	"bolwerk/internal/account"
	"bolwerk/shield/judge"
)

// Decider is somebody behind a request as the guards know him. An approval
// counts only in a session; an account's own exemption from the age of
// approvers is the guards' Founding.
func Decider(p account.Person) judge.Person {
	return judge.Person{ID: p.ID, Roles: []judge.Role{judge.Role(p.Role)}, Session: p.By == account.BySession,
		AccountSince: p.MadeAt, RoleSince: p.RoleSince, Founding: p.Exempt}
}
