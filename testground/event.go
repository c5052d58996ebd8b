package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/wiretap"
)

// A run tells its parent what happens, line by line, as it happens:
//
//	v NANOSECONDS PEER VALUE SERIES     a value
//	{"at":…, "text":…}                  anything else, as an event in JSON
//
// Every line is written at once, so that a process that dies has told all.
// Other lines are not the run's, and are passed on.

// event is what is no value.
type event struct {
	At    time.Duration  `json:"at"` // of the network
	Text  string         `json:"text,omitempty"`
	Up    int            `json:"up,omitempty"` // peers that run
	Graph *measure.Graph `json:"graph,omitempty"`
	Bound *measure.Bound `json:"bound,omitempty"`
	End   bool           `json:"end,omitempty"`
	Error string         `json:"error,omitempty"`
	Hash  string         `json:"hash,omitempty"`
	// Messages are all that were sent so far.
	Messages []wiretap.Count `json:"messages,omitempty"`
}

// lineMax is the longest line that is read: a graph of many connections.
const lineMax = 64 << 20

// teller writes events. Its methods are safe for concurrent use.
type teller struct {
	mu  sync.Mutex // guards the following
	to  io.Writer
	buf []byte
}

// Value, Graph and Bound make a teller a measure.Follower.
func (t *teller) Value(name string, p measure.Point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := append(t.buf[:0], "v "...)
	b = append(strconv.AppendInt(b, int64(p.At), 10), ' ')
	b = append(strconv.AppendInt(b, int64(p.Peer), 10), ' ')
	b = append(strconv.AppendFloat(b, p.Value, 'g', -1, 64), ' ')
	b = append(append(b, strings.ReplaceAll(name, "\n", " ")...), '\n')
	t.buf = b
	t.to.Write(b) // whoever does not listen any more has ended this process
}

// Graph tells of a picture, which has its own time.
func (t *teller) Graph(g measure.Graph) { t.event(event{Graph: &g}) }

// Bound tells of a bound.
func (t *teller) Bound(b measure.Bound) { t.event(event{Bound: &b}) }

func (t *teller) event(e event) {
	b, err := json.Marshal(e)
	if err != nil {
		b = fmt.Appendf(nil, `{"text":%q}`, err.Error())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to.Write(append(b, '\n')) // see Value
}

// hear reads what a teller writes until its end. Other lines go to other.
func hear(from io.Reader, value func(name string, p measure.Point), tell func(event), other func(line string)) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 64<<10), lineMax)
	for lines.Scan() {
		line := lines.Text()
		if name, p, ok := parseValue(line); ok {
			value(name, p)
			continue
		}
		var e event
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil {
			tell(e)
			continue
		}
		other(line)
	}
	return lines.Err()
}

func parseValue(line string) (name string, p measure.Point, ok bool) {
	words := strings.SplitN(line, " ", 5)
	if len(words) != 5 || words[0] != "v" {
		return "", measure.Point{}, false
	}
	at, errAt := strconv.ParseInt(words[1], 10, 64)
	peer, errPeer := strconv.Atoi(words[2])
	value, errValue := strconv.ParseFloat(words[3], 64)
	return words[4], measure.Point{At: time.Duration(at), Peer: peer, Value: value}, errAt == nil && errPeer == nil && errValue == nil
}
