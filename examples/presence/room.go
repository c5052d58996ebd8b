package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/gossip"
)

// Room is a topic in which everybody says now and then that he is here, and where his cursor is.
type Room struct {
	topic *gossip.Topic
	name  string
	ttl   time.Duration
	moves chan int
	leave context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex // guards the following
	roster  roster
	changed chan struct{} // closed when the roster changes, and replaced
}

// Enter comes into the room under a name. Others forget whom they have not heard for ttl, which
// is the same for all. Leave must be called.
func Enter(g *gossip.Gossip, name string, ttl time.Duration) (*Room, error) {
	topic, err := g.Join("presence", func(_ context.Context, m gossip.Message) gossip.Verdict {
		if _, ok := decode(m.Data); !ok {
			return gossip.Reject
		}
		return gossip.Accept
	})
	if err != nil {
		return nil, err
	}
	sub, err := topic.Subscribe()
	if err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(context.Background())
	r := &Room{
		topic: topic, name: name, ttl: ttl,
		moves: make(chan int), leave: leave, ended: make(chan struct{}),
		roster: make(roster), changed: make(chan struct{}),
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { r.listen(ctx, sub) })
	tasks.Go(func() { r.speak(ctx) })
	go func() { tasks.Wait(); close(r.ended) }()
	return r, nil
}

// Leave says goodbye and ends what Enter has started.
func (r *Room) Leave() error {
	r.leave()
	<-r.ended
	return r.topic.Close()
}

// Move tells the others where the cursor is.
func (r *Room) Move(ctx context.Context, cursor int) error {
	select {
	case r.moves <- cursor:
		return nil
	case <-r.ended:
		return gossip.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Await waits until those who are here, oneself among them, are as they should be.
func (r *Room) Await(ctx context.Context, ok func([]Person) bool) ([]Person, error) {
	for {
		r.mu.Lock()
		people, changed := r.roster.here(), r.changed
		r.mu.Unlock()
		if ok(people) {
			return people, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return people, fmt.Errorf("wait for people, with %v here: %w", people, ctx.Err())
		}
	}
}

// listen hears what all say, this node included, until ctx or the network ends.
func (r *Room) listen(ctx context.Context, sub *gossip.Subscription) {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		s, _ := decode(m.Data) // it can be decoded: the topic's validator has
		r.change(func(list roster) bool { return list.hear(time.Now(), m.From, s) })
	}
}

// speak says what this node has to say: at each move, several times within ttl, as messages may
// be lost, and when it leaves. Whoever comes later hears it from then on; nobody keeps it.
func (r *Room) speak(ctx context.Context) {
	beat := time.NewTicker(r.ttl / 4)
	defer beat.Stop()
	me := state{Person: Person{Name: r.name}}
	for {
		me.Time = time.Now().UnixNano()
		data, err := json.Marshal(me)
		if err != nil || r.topic.Publish(context.WithoutCancel(ctx), data) != nil {
			return // the node was closed
		}
		if me.Gone {
			return
		}
		select {
		case me.Cursor = <-r.moves:
		case now := <-beat.C:
			r.change(func(list roster) bool { return list.expire(now, r.ttl) })
		case <-ctx.Done():
			me.Gone = true
		}
	}
}

// change changes the roster, and wakes who waits for that.
func (r *Room) change(f func(roster) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f(r.roster) {
		close(r.changed)
		r.changed = make(chan struct{})
	}
}
