package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// editors: all write one text, while some of them come and go, and for a while in two halves
// that know nothing of each other.
var editors = Scenario{
	Name: "editors", Doc: "all edit one text, with churn and a partition, and see the same soon after", Peers: 50,
	TimeMax: time.Hour,
	Params: []Param{
		{"time", "2m", "of editing"},
		{"pause", "20s", "between two edits of a peer, on average"},
		{"degree", "8", "connections of each peer, at least"},
		{"leave", "0.1", "share of the peers that stop or crash, and are back after 20 s"},
		{"cut", "30s", "at the end of the editing, during which the network is in two"},
		{"within", "5s", "after the cut all must see the same"},
	},
	Run: runEditors,
}

const (
	editorsAway = 20 * time.Second
	// editorsTold is the share of the peers of whom it is measured when they see an edit.
	editorsTold = 10
	// editorsLook is how often it is looked whether all see the same.
	editorsLook = 50 * time.Millisecond
	// wordsKept is how long a word stays at least, so that all have seen it.
	wordsKept = time.Minute
)

func runEditors(ctx context.Context, r *Run) error {
	span, pause, degree, leave, cut, within := r.Duration("time"), r.Duration("pause"), r.Int("degree"), r.Share("leave"), r.Duration("cut"), r.Duration("within")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if r.Check() != nil || pause <= 0 || cut >= span || span-cut < 2*editorsAway || len(peers) < 2 {
		return fmt.Errorf("editors: want 2 peers, a pause, and %v of editing before the cut at least: %w", 2*editorsAway, r.Check())
	}
	r.Net.Warm(peers)
	if err := r.Start(ctx, peers); err != nil {
		return err
	}
	if err := r.Net.Connect(ctx, r.Net.Regular(peers, degree)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	e := &editing{r: r, stop: cancel}
	defer e.tasks.Wait()
	defer cancel()
	if err := e.begin(ctx, peers); err != nil {
		return err
	}
	for _, p := range peers {
		if p.Number()%editorsTold == 0 {
			e.tasks.Go(func() { e.watch(ctx, p) })
		}
		if p.Number()%2 == 1 {
			p.NIC().SetGroup(1)
		}
	}
	e.churn(ctx, peers, int(leave*float64(len(peers))), span-cut-editorsAway-10*time.Second)
	edits, end := context.WithTimeout(ctx, span)
	defer end()
	mended := time.AfterFunc(span-cut, func() { e.cut(true) })
	defer mended.Stop()
	e.edit(edits, peers, pause)
	e.cut(false)
	if err := e.failed(); err != nil {
		return err
	}
	return e.converge(ctx, peers, within)
}

// editing is one run.
type editing struct {
	r     *Run
	id    commit.ID
	stop  context.CancelFunc // ends the run: something does not hold
	tasks sync.WaitGroup

	mu    sync.Mutex // guards the following
	err   error
	words []word // oldest first
	parts bool   // the network is in two
}

// word is one that somebody has written.
type word struct {
	text string
	by   *sim.Peer
	at   time.Time
	cut  bool // the network was in two
	gone bool
}

func (e *editing) broken(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = fmt.Errorf("editors: "+format, args...)
	}
	e.stop()
}

func (e *editing) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// begin has one make the document, in which all may write, and the others open it.
func (e *editing) begin(ctx context.Context, peers []*sim.Peer) error {
	docs, err := peers[0].Node().Docs()
	if err != nil {
		return err
	}
	var members []replica.Member
	for _, p := range peers[1:] {
		theirs, err := p.Node().Docs()
		if err != nil {
			return err
		}
		members = append(members, replica.Member{Author: theirs.Author(), Role: commit.Write})
	}
	d, err := docs.Create(ctx, "", members...)
	if err != nil {
		return err
	}
	e.id = d.ID()
	began := time.Now()
	err = sim.Each(ctx, peers[1:], func(ctx context.Context, p *sim.Peer) error {
		_, err := e.doc(ctx, p)
		e.r.Measure.Add("open_time_s", e.r.Net.Age(), p.Number(), time.Since(began).Seconds())
		return err
	})
	e.r.Logf("%d peers have the document", len(peers))
	return err
}

// doc opens the document at a peer.
func (e *editing) doc(ctx context.Context, p *sim.Peer) (*replica.Doc, error) {
	n := p.Node()
	if n == nil {
		return nil, replica.ErrClosed
	}
	docs, err := n.Docs()
	if err != nil {
		return nil, err
	}
	return docs.Open(ctx, e.id.String())
}

// cut cuts the network in two, or mends it.
func (e *editing) cut(apart bool) {
	e.mu.Lock()
	e.parts = apart
	e.mu.Unlock()
	way := fabric.Open
	if apart {
		way = fabric.Hold
	}
	e.r.Net.Fabric().SetCut(0, 1, way)
	e.r.Logf("cut: %v", apart)
}

// churn has some peers go, at any time before the last, and come back. Those of whom is
// measured what they see stay.
func (e *editing) churn(ctx context.Context, peers []*sim.Peer, n int, last time.Duration) {
	may := slices.DeleteFunc(slices.Clone(peers), func(p *sim.Peer) bool { return p.Number()%editorsTold == 0 })
	rng := e.r.Net.Rand()
	rng.Shuffle(len(may), func(i, j int) { may[i], may[j] = may[j], may[i] })
	for _, p := range may[:min(n, len(may))] {
		at, crash := between(rng, 0, last), rng.IntN(2) == 0
		e.tasks.Go(func() {
			if !pauseFor(ctx, at) {
				return
			}
			err := error(nil)
			if crash {
				err = p.Crash(false)
			} else {
				err = p.Stop()
			}
			if err == nil && pauseFor(ctx, editorsAway) {
				err = e.r.start(ctx, p)
			}
			if err != nil && ctx.Err() == nil {
				e.broken("%s goes and comes back: %w", p, err)
			}
		})
	}
}

// edit has all write until ctx ends.
func (e *editing) edit(ctx context.Context, peers []*sim.Peer, pause time.Duration) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for _, p := range peers {
		rng := rand.New(rand.NewPCG(e.r.Net.Rand().Uint64(), 0))
		tasks.Go(func() {
			for number := 0; pauseFor(ctx, between(rng, 0, 2*pause)); number++ {
				if !p.Runs() {
					continue
				}
				if err := e.write(context.WithoutCancel(ctx), p, rng, fmt.Sprintf("%d-%d ", p.Number(), number)); err != nil && p.Runs() && !errors.Is(err, replica.ErrClosed) {
					e.broken("%s edits: %w", p, err)
					return
				}
			}
		})
	}
}

// write has a peer put a word somewhere between others, and remove an old one now and then.
func (e *editing) write(ctx context.Context, p *sim.Peer, rng *rand.Rand, text string) error {
	d, err := e.doc(ctx, p)
	if err != nil {
		return err
	}
	old := ""
	if rng.IntN(4) == 0 {
		old = e.old(rng)
	}
	_, err = d.Update(ctx, func(tx *crdt.Tx) error {
		t := tx.Text("text")
		before := t.Before() // of one byte a code point
		at := 0
		if len(before) > 0 {
			at = strings.LastIndexByte(before[:rng.IntN(len(before))+1], ' ') + 1
		}
		t.Insert(at, text)
		if k := strings.Index(" "+before, " "+old); old != "" && k >= 0 {
			if k >= at {
				k += len(text)
			}
			t.Delete(k, len(old))
		}
		return nil
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.words = append(e.words, word{text: text, by: p, at: time.Now(), cut: e.parts})
	}
	return err
}

// old is a word that has been there for long, "" if there is none. It is chosen once.
func (e *editing) old(rng *rand.Rand) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, _ := slices.BinarySearchFunc(e.words, time.Now().Add(-wordsKept), func(w word, at time.Time) int { return w.at.Compare(at) })
	if n == 0 {
		return ""
	}
	w := &e.words[rng.IntN(n)]
	if w.gone {
		return ""
	}
	w.gone = true
	return w.text
}

// watch measures how soon a peer sees what others write.
func (e *editing) watch(ctx context.Context, p *sim.Peer) {
	d, err := e.doc(ctx, p)
	if err != nil {
		e.broken("%s opens: %w", p, err)
		return
	}
	taken := 0
	var pending []word
	for _, err := range d.Watch(ctx) {
		var v any
		if err == nil {
			v, _, err = d.Get(ctx, "text")
		}
		if err != nil {
			if ctx.Err() == nil {
				e.broken("%s watches: %w", p, err)
			}
			return
		}
		e.mu.Lock()
		pending = append(pending, e.words[taken:]...)
		taken = len(e.words)
		e.mu.Unlock()
		text, _ := v.(string)
		pending = slices.DeleteFunc(pending, func(w word) bool {
			if w.by == p || !strings.Contains(" "+text, " "+w.text) {
				return w.by == p
			}
			series := "visible_time_s"
			if w.cut {
				series = "visible_from_cut_time_s"
			}
			e.r.Measure.Add(series, e.r.Net.Age(), p.Number(), time.Since(w.at).Seconds())
			return true
		})
	}
}

// converge waits until all see the same.
func (e *editing) converge(ctx context.Context, peers []*sim.Peer, within time.Duration) error {
	began := time.Now()
	e.r.Measure.AddBound(measure.Bound{Series: "converge_time_s", Label: "must see the same after", Value: within.Seconds()})
	for {
		alike, text, err := e.alike(ctx, peers)
		took := time.Since(began)
		if err != nil {
			return err
		}
		if alike == len(peers) {
			e.r.Measure.Add("converge_time_s", e.r.Net.Age(), -1, took.Seconds())
			return e.complete(text, took)
		}
		if took > within {
			return fmt.Errorf("editors: %v after the cut %d of %d peers see the same", took, alike, len(peers))
		}
		if !pauseFor(ctx, editorsLook) {
			return ctx.Err()
		}
	}
}

// alike is how many have the heads and the text of the first.
func (e *editing) alike(ctx context.Context, peers []*sim.Peer) (n int, text string, err error) {
	var heads []commit.ID
	for i, p := range peers {
		d, err := e.doc(ctx, p)
		if err != nil {
			return 0, "", fmt.Errorf("%s opens the document: %w", p, err)
		}
		mine, err := d.Heads(ctx)
		if err != nil {
			return 0, "", err
		}
		if i == 0 {
			heads = mine
		}
		if !slices.Equal(mine, heads) {
			continue
		}
		v, _, err := d.Get(ctx, "text")
		if err != nil {
			return 0, "", err
		}
		if seen, _ := v.(string); i == 0 {
			text = seen
		} else if seen != text {
			return 0, "", fmt.Errorf("editors: %s has the same heads as %s and sees another text", p, peers[0])
		}
		n++
	}
	return n, text, nil
}

// complete fails unless the text holds each word that was acknowledged and that nobody removed,
// once.
func (e *editing) complete(text string, took time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	gone := 0
	count := make(map[string]int)
	for _, w := range strings.SplitAfter(text, " ") {
		count[w]++
	}
	for _, w := range e.words {
		switch n := count[w.text]; {
		case w.gone:
			gone++
		case n != 1:
			return fmt.Errorf("editors: %q, which %s wrote, is there %d times", w.text, w.by, n)
		}
	}
	e.r.Logf("%d edits, %d words removed, %d bytes of text; all see the same %v after the cut", len(e.words), gone, len(text), took)
	return nil
}
