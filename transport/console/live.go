package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// heartbeat is how often a stream says something at least, so that both ends notice a lost connection.
	heartbeat = 10 * time.Second

	// writeMost is how long one message to who looks may take.
	writeMost = 10 * time.Second

	// firstMost is how long who looks waits for the first state.
	firstMost = 5 * time.Second
)

// state answers with the next State.
func (c *Console) state(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), firstMost)
	defer cancel()
	if !c.hub.listen() { //nolint:contextcheck // who asks the members does so for all who look, and after one has gone
		c.full(w)
		return
	}
	defer c.hub.leave()
	at := c.hub.before(r.URL.Query().Get("rates") != "")
	for {
		n := c.hub.news(at, 0)
		if n.state != nil {
			c.json(w, http.StatusOK, c.show(n.state, c.config.Admin(r)))
			return
		}
		select {
		case <-n.more:
		case <-ctx.Done():
			problem(w, http.StatusServiceUnavailable, "the members did not answer in time")
			return
		case <-c.closed:
			problem(w, http.StatusServiceUnavailable, "the node is stopping")
			return
		}
	}
}

// live streams States and events until who looks goes, or the console is closed. With only=events there are no States, and with
// back=N up to so many earlier events come first, and then the event caught.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back, err := backOf(query)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if !c.hub.listen() { //nolint:contextcheck // who asks the members does so for all who look, and after one has gone
		c.full(w)
		return
	}
	defer c.hub.leave()
	s := &stream{w: w, control: http.NewResponseController(w)}
	_ = s.control.SetReadDeadline(time.Time{}) // it has been read; an error means that there was none
	h := w.Header()
	safe(h)
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	admin := c.config.Admin(r)
	events := query.Get("only") == "events"
	hello := map[string]any{"admin": admin}
	if !events {
		hello["samples"] = c.hub.history()
	}
	if s.send("hello", hello) != nil {
		return
	}
	c.pump(r, s, admin, events, back)
}

// backOf returns how many earlier events are asked for.
func backOf(query url.Values) (int, error) {
	text := query.Get("back")
	if text == "" {
		return 0, nil
	}
	back, err := strconv.Atoi(text)
	if err != nil || back < 0 || back > toldKept {
		return 0, errBack
	}
	return back, nil
}

// pump sends what is new until nobody reads it, or who came as an admin is none any more.
func (c *Console) pump(r *http.Request, s *stream, admin, only bool, back int) {
	ctx := r.Context()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	if !c.looked(ctx) {
		return
	}
	var serial uint64
	told, caught := c.hub.from(back), false
	for {
		if admin && !c.config.Admin(r) {
			_ = s.send("bye", "the admin token is not known any more") // an error means that nobody reads it
			return
		}
		n := c.hub.news(serial, told)
		if n.lost > 0 && s.send("lost", n.lost) != nil {
			return
		}
		if len(n.told) > 0 && s.send("events", n.told) != nil {
			return
		}
		if !caught && s.send("caught", len(n.told)) != nil {
			return
		}
		caught = true
		if n.state != nil && !only && s.send("state", c.show(n.state, admin)) != nil {
			return
		}
		serial, told = n.serial, n.last
		select {
		case <-n.more:
		case <-beat.C:
			if s.beat() != nil {
				return
			}
		case <-ctx.Done():
			return
		case <-c.closed:
			_ = s.send("bye", "the node is stopping") // an error means that nobody reads it
			return
		}
	}
}

// looked waits until the members were asked once, and says whether they were before ctx ends.
func (c *Console) looked(ctx context.Context) bool {
	for {
		n := c.hub.news(0, 0)
		if n.state != nil {
			return true
		}
		select {
		case <-n.more:
		case <-ctx.Done():
			return false
		case <-c.closed:
			return false
		}
	}
}

// show returns s as who asks may see it.
func (c *Console) show(s *State, admin bool) *State {
	shown := *s
	if shown.Admin = admin; !admin {
		shown.Hot = nil
	}
	return &shown
}

// full says that too many look.
func (c *Console) full(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "10")
	problem(w, http.StatusServiceUnavailable, "as many look at this node as may: "+strconv.Itoa(c.config.MaxListeners))
}

// A stream is server-sent events to one who looks.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// send sends data as the event of that name.
func (s *stream) send(event string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.write("event: " + event + "\ndata: " + string(b) + "\n\n")
}

// beat says that there is nothing new.
func (s *stream) beat() error { return s.write("event: beat\ndata: 0\n\n") }

func (s *stream) write(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeMost)) // who tests may have none
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// A news is what a hub has for who has seen some.
type news struct {
	state  *State // nil if it is the one that was seen
	serial uint64 // of the state
	told   []Told
	last   uint64 // number of the last of told
	lost   int    // events that are not kept any more
	more   <-chan struct{}
}

// news returns what came after the state serial and the event told.
func (h *hub) news(serial, told uint64) news {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := news{serial: h.serial, last: h.toldLast, more: h.more}
	if h.serial > serial {
		n.state = h.state
	}
	first := h.toldLast - uint64(len(h.told))
	if told < first {
		n.lost = int(first - told)
		told = first
	}
	n.told = append(n.told, h.told[min(told-first, uint64(len(h.told))):]...)
	return n
}

// before returns the number of the state before the one that who asks once is to get: it is not older than two looks, and with rates
// a look came before it, as they are made of two.
func (h *hub) before(rates bool) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.state != nil && time.Since(h.state.At) < 2*h.config.Every && (!rates || h.serial > 1):
		return h.serial - 1
	case rates && (h.state == nil || time.Since(h.state.At) > linger):
		return h.serial + 1
	}
	return h.serial
}

// from returns after which event who wants back earlier ones is to be told.
func (h *hub) from(back int) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.toldLast - uint64(min(back, len(h.told)))
}

// history returns the rates of the last minutes.
func (h *hub) history() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Sample{}, h.samples...)
}
