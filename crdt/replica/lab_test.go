package replica_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/testground/fabric"
)

const oneWay = 25 * time.Millisecond

// lab is a network in memory with replicas on it.
type lab struct {
	t     *testing.T
	ctx   context.Context
	net   *fabric.Fabric
	hub   hub
	hosts int
	ends  []func()
}

func inLab(t *testing.T, f func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		l := &lab{t: t, ctx: ctx}
		l.net = fabric.New(fabric.Options{Latency: func(a, b netip.Addr) time.Duration { return oneWay }, Seed: 1})
		defer func() {
			for _, end := range slices.Backward(l.ends) {
				end()
			}
			l.net.Close()
		}()
		f(l)
	})
}

// keyOf is the key of the n-th person.
func keyOf(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func authorOf(n byte) commit.Author { return commit.AuthorOf(keyOf(n)) }

func writer(n byte) replica.Member { return replica.Member{Author: authorOf(n), Role: commit.Write} }

// host makes the host of the n-th person.
func (l *lab) host(n byte) host.Host {
	l.t.Helper()
	l.hosts++
	at := netip.AddrFrom4([4]byte{20, byte(l.hosts), 0, 1})
	key, err := crypto.UnmarshalEd25519PrivateKey(keyOf(n))
	if err != nil {
		l.t.Fatal(err)
	}
	h, err := libp2p.New(l.net.NIC(at, fabric.Line{}).Transport(), libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/4001", at)),
		libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Ping(false), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		l.t.Fatal(err)
	}
	l.ends = append(l.ends, func() { h.Close() })
	return h
}

// person is somebody with a replica.
type person struct {
	*replica.Replica
	l     *lab
	host  host.Host
	store ds.Batching
	judge *reports
	stop  func()
}

func memory() ds.Batching { return dssync.MutexWrap(ds.NewMapDatastore()) }

// person opens and runs the replica of the n-th person.
func (l *lab) person(n byte, o replica.Options) *person {
	l.t.Helper()
	p := &person{l: l, host: l.host(n), store: o.Store, judge: new(reports)}
	if p.store == nil {
		p.store = memory()
	}
	o.Key, o.Store, o.Host, o.Judge = keyOf(n), p.store, p.host, p.judge
	o.Topics = &station{hub: &l.hub, host: p.host}
	var err error
	if p.Replica, err = replica.Open(l.ctx, o); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(l.ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			l.t.Error(err)
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := p.Close(); err != nil {
			l.t.Error(err)
		}
	})
	l.ends = append(l.ends, p.stop)
	synctest.Wait()
	return p
}

// connect connects people to each other, and disconnect does the opposite.
func (l *lab) connect(people ...*person) {
	l.t.Helper()
	for i, a := range people {
		for _, b := range people[i+1:] {
			if err := a.host.Connect(l.ctx, peer.AddrInfo{ID: b.host.ID(), Addrs: b.host.Addrs()}); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	synctest.Wait()
	l.hub.meet()
}

func (l *lab) disconnect(people ...*person) {
	for i, a := range people {
		for _, b := range people[i+1:] {
			if err := a.host.Network().ClosePeer(b.host.ID()); err != nil {
				l.t.Error(err)
			}
		}
	}
	time.Sleep(time.Second) // of virtual time, for the others to notice
}

func (p *person) open(nameOrID string) *replica.Doc {
	p.l.t.Helper()
	d, err := p.Open(p.l.ctx, nameOrID)
	if err != nil {
		p.l.t.Fatal(err)
	}
	return d
}

func (p *person) create(name string, members ...replica.Member) *replica.Doc {
	p.l.t.Helper()
	d, err := p.Create(p.l.ctx, name, members...)
	if err != nil {
		p.l.t.Fatal(err)
	}
	return d
}

// edit updates a document.
func edit(t *testing.T, d *replica.Doc, f func(tx *crdt.Tx)) commit.ID {
	t.Helper()
	id, err := d.Update(context.Background(), func(tx *crdt.Tx) error { f(tx); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func set(key string, v any) func(*crdt.Tx) { return func(tx *crdt.Tx) { tx.Set(key, v) } }

func view(t *testing.T, d *replica.Doc) map[string]any {
	t.Helper()
	v, err := d.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func heads(t *testing.T, d *replica.Doc) []commit.ID {
	t.Helper()
	h, err := d.Heads(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// same tells whether all have the same commits, and checks that then they show the same.
func same(t *testing.T, docs ...*replica.Doc) bool {
	t.Helper()
	for _, d := range docs[1:] {
		if !slices.Equal(heads(t, d), heads(t, docs[0])) {
			return false
		}
		if a, b := view(t, d), view(t, docs[0]); !reflect.DeepEqual(a, b) {
			t.Fatalf("the same commits, and %v and %v", a, b)
		}
	}
	return true
}

// within waits until all have the same, for a time.
func within(t *testing.T, limit time.Duration, docs ...*replica.Doc) time.Duration {
	t.Helper()
	began := time.Now()
	for !same(t, docs...) {
		if time.Since(began) > limit {
			for _, d := range docs {
				t.Logf("%v %v", heads(t, d), view(t, d))
			}
			t.Fatalf("not the same within %v", limit)
		}
		time.Sleep(10 * time.Millisecond) // of virtual time
		synctest.Wait()
	}
	return time.Since(began)
}

// reports is a Judge that remembers.
type reports struct {
	mu   sync.Mutex
	list []replica.Fault
	lost map[peer.ID]float64 // what each peer has lost, in all
}

func (r *reports) Report(p peer.ID, f replica.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, f)
	if r.lost == nil {
		r.lost = make(map[peer.ID]float64)
	}
	r.lost[p] += f.Weight()
}

func (r *reports) of(p peer.ID) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost[p]
}

func (r *reports) take() []replica.Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// hub is where messages of topics go: at once, to all who are connected to who says them.
type hub struct {
	mu     sync.Mutex
	topics []*topic
	lost   bool // all messages
	met    map[[2]*topic]bool
}

// station is one host's part of a hub.
type station struct {
	hub  *hub
	host host.Host
}

type topic struct {
	*station
	name     string
	judge    func(context.Context, replica.Message) replica.Verdict
	messages chan replica.Message
	arrivals chan peer.ID
}

func (s *station) Join(name string, judge func(context.Context, replica.Message) replica.Verdict) (replica.Topic, error) {
	t := &topic{s, name, judge, make(chan replica.Message, 64), make(chan peer.ID, 64)}
	s.hub.mu.Lock()
	s.hub.topics = append(s.hub.topics, t)
	s.hub.mu.Unlock()
	s.hub.meet()
	return t, nil
}

func (t *topic) reaches(o *topic) bool {
	return t != o && t.name == o.name && t.host.Network().Connectedness(o.host.ID()) == network.Connected
}

// meet tells who is in a topic with whom.
func (h *hub) meet() {
	h.mu.Lock()
	defer h.mu.Unlock()
	met := make(map[[2]*topic]bool)
	for _, a := range h.topics {
		for _, b := range h.topics {
			pair := [2]*topic{a, b}
			if !a.reaches(b) {
				continue
			}
			if met[pair] = true; !h.met[pair] {
				a.arrivals <- b.host.ID()
			}
		}
	}
	h.met = met
}

func (h *hub) audience(t *topic) (list []*topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.topics {
		if t.reaches(o) && !h.lost {
			list = append(list, o)
		}
	}
	return list
}

func (h *hub) lose(all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = all
}

func (t *topic) Publish(ctx context.Context, data []byte) error {
	for _, o := range t.hub.audience(t) {
		m := replica.Message{From: t.host.ID(), Via: t.host.ID(), Data: data}
		if o.judge != nil && o.judge(ctx, m) == replica.Accept {
			o.messages <- m
		}
	}
	return nil
}

func (t *topic) Next(ctx context.Context) (replica.Message, error) {
	select {
	case m := <-t.messages:
		return m, nil
	case <-ctx.Done():
		return replica.Message{}, ctx.Err()
	}
}

func (t *topic) Arrival(ctx context.Context) (peer.ID, error) {
	select {
	case p := <-t.arrivals:
		return p, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (t *topic) Peers() (list []peer.ID) {
	for _, o := range t.hub.audience(t) {
		list = append(list, o.host.ID())
	}
	return list
}

func (t *topic) Close() error {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	t.hub.topics = slices.DeleteFunc(t.hub.topics, func(o *topic) bool { return o == t })
	return nil
}
