package scenario

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	nodegossip "github.com/p2pnode/p2pnode/gossip"
)

const (
	newsName = "news"
	// newsTimeMax is how long a message may take to everyone, when nothing is wrong.
	newsTimeMax = 30 * time.Second
	// newsCount is how many messages everyone must hear then.
	newsCount = 5
)

// newsTopic is a member's part in the topic.
type newsTopic = nodegossip.Topic

// message is one that was published, and who has heard it.
type message struct {
	sent  time.Time
	heard map[peer.ID]bool
}

// newsText is a number, and the proof that somebody honest wrote it.
func newsText(number uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, number)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func validNews(data []byte) (number uint64, ok bool) {
	if len(data) != 8+sha256.Size {
		return 0, false
	}
	sum := sha256.Sum256(data[:8])
	return binary.LittleEndian.Uint64(data), [sha256.Size]byte(data[8:]) == sum
}

// listen joins the topic and hears it until the peer stops, or ctx ends.
func (m *mixed) listen(ctx context.Context, w *member) (*newsTopic, error) {
	topic, err := w.p.Node().Gossip().Join(newsName, func(_ context.Context, g nodegossip.Message) nodegossip.Verdict {
		if _, ok := validNews(g.Data); !ok {
			return nodegossip.Reject
		}
		return nodegossip.Accept
	})
	if err != nil {
		return nil, err
	}
	s, err := topic.Subscribe()
	if err != nil {
		return nil, err
	}
	m.background.Go(func() {
		defer s.Close()
		for {
			g, err := s.Next(ctx)
			if err != nil {
				return
			}
			m.heard(w, g.Data)
		}
	})
	return topic, nil
}

func (m *mixed) heard(w *member, data []byte) {
	number, ok := validNews(data)
	m.mu.Lock()
	g := m.news[number]
	if g != nil {
		g.heard[w.p.ID()] = true
	}
	m.mu.Unlock()
	if !ok || g == nil {
		m.broken(w.p, "a message came that nobody honest has written")
		return
	}
	m.r.Measure.Add("delivery_time_s", m.r.Net.Age(), w.p.Number(), time.Since(g.sent).Seconds())
}

// makeNews: a peer publishes.
func (m *mixed) makeNews(rng *rand.Rand, up []*member) func(context.Context) {
	w := one(rng, up)
	return func(ctx context.Context) { m.publish(ctx, w) }
}

// publish returns the number of the message.
func (m *mixed) publish(ctx context.Context, w *member) uint64 {
	w.mu.Lock()
	topic := w.topic
	w.mu.Unlock()
	if topic == nil {
		return 0 // it is leaving
	}
	m.mu.Lock()
	m.lastNews++
	number := m.lastNews
	m.news[number] = &message{time.Now(), map[peer.ID]bool{w.p.ID(): true}}
	m.mu.Unlock()
	err := topic.Publish(ctx, newsText(number))
	if err != nil && ctx.Err() == nil && !errors.Is(err, nodegossip.ErrStopped) {
		m.broken(w.p, "%w", err)
	}
	return number
}

// checkNews: everyone hears what anyone writes.
func (m *mixed) checkNews(ctx context.Context) {
	var numbers []uint64
	for range newsCount {
		numbers = append(numbers, m.publish(ctx, one(m.newsRand, m.members)))
		pauseFor(ctx, time.Second)
	}
	pauseFor(ctx, newsTimeMax)
	m.mu.Lock()
	var missing *member
	misses := 0
	for _, n := range numbers {
		for _, w := range m.members {
			if g := m.news[n]; g != nil && !g.heard[w.p.ID()] {
				missing = w
				misses++
			}
		}
	}
	m.mu.Unlock()
	if missing != nil {
		m.broken(missing.p, "it has not heard a message within %v; of %d deliveries %d are missing", newsTimeMax, newsCount*len(m.members), misses)
	}
}
