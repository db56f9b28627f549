package standin

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/rest"
)

// Manager is a policy manager that keeps the HTTP contract.
type Manager struct {
	token string
	users map[string]string // session -> subscriber

	mu     sync.Mutex
	orders map[string]rest.Now // by path
	broken string
}

// NewManager has these sessions, each with its subscriber.
func NewManager(token string, users map[string]string) *Manager {
	return &Manager{token: token, users: users, orders: map[string]rest.Now{}}
}

// Break has it forget a promise: until, versions, or offline.
func (m *Manager) Break(what string) { m.mu.Lock(); m.broken = what; m.mu.Unlock() }

func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	if r.Header.Get("Authorization") != "Bearer "+m.token {
		answer(http.StatusUnauthorized, rest.Answer{Code: "no such token"})
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/v1/orders/") {
		http.NotFound(w, r)
		return
	}
	now := m.orders[r.URL.Path]
	if !now.Until.IsZero() && now.Until.Before(time.Now()) && m.broken != "until" {
		now.Profile, now.Until = enforce.Normal, time.Time{}
	}
	if r.Method == http.MethodGet {
		answer(http.StatusOK, now)
		return
	}
	var wish rest.Wish
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&wish); err != nil || rest.Path(wish) != r.URL.Path {
		answer(http.StatusBadRequest, rest.Answer{Code: "no order"})
		return
	}
	user, ok := m.users[wish.Session.ID]
	switch {
	case (!ok || user != wish.Session.Subscriber) && m.broken != "offline":
		answer(http.StatusOK, rest.Answer{State: enforce.Offline})
	case wish.Version < now.Version && m.broken != "versions":
		answer(http.StatusConflict, rest.Answer{Code: "a later version is in force"})
	default:
		m.orders[r.URL.Path] = rest.Now{Version: wish.Version, Profile: wish.Profile, Until: wish.Until}
		answer(http.StatusOK, rest.Answer{State: enforce.Applied, Seen: true})
	}
}
