package replica

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/reconcile"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

const (
	// darkMax is how many commits that somebody has may be sent to them again, as their
	// landmarks do not tell. Where it may be more, a survey costs less.
	darkMax = 512
	// surveysMax is how many surveys are answered at once: each puts all commits in order.
	surveysMax = 2
)

// dark tells whether landmarks say too little: whoever has count commits may have many of the
// missing ones, as the landmarks account for known commits only.
func dark(count, known uint64, missing int) bool {
	return count > known && min(count-known, uint64(missing)) > darkMax
}

// set is the commits of the document as a survey compares them.
func (d *Doc) set(ctx context.Context) (*reconcile.Set, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	commits := make([]reconcile.Commit, 0, s.core.Len())
	for id, gen := range s.core.Gens() {
		commits = append(commits, reconcile.Commit{Gen: gen, ID: id})
	}
	d.mu.Unlock()
	return reconcile.NewSet(commits), nil
}

// survey asks a peer about what is here, and returns landmarks that leave out nothing the peer
// has. If there is no end of differences it returns none.
func (d *Doc) survey(ctx context.Context, from peer.ID) ([]commit.ID, error) {
	own, err := d.set(ctx)
	if err != nil {
		return nil, err
	}
	d.replica.counts.surveyed.Add(1)
	survey := reconcile.NewSurvey(own)
	for questions := survey.Questions(); len(questions) > 0; questions = survey.Questions() {
		answers, err := d.question(ctx, from, questions)
		if err == nil {
			err = survey.Take(answers)
		}
		switch {
		case errors.Is(err, reconcile.ErrEndless):
			return nil, nil
		case errors.Is(err, reconcile.ErrMalformed), errors.Is(err, wire.ErrMalformed), errors.Is(err, wire.ErrLimit):
			d.replica.o.Judge.Report(from, FaultMalformed)
			return nil, err
		case err != nil:
			return nil, err
		}
	}
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return s.core.Without(survey.Lacks(), wire.LandmarksMax), nil
}

// question asks about some ranges.
func (d *Doc) question(ctx context.Context, from peer.ID, ranges []reconcile.Range) ([]reconcile.Answer, error) {
	l, status, err := d.ask(ctx, from, wire.Request{Kind: wire.Survey, Ranges: ranges})
	if err != nil {
		return nil, err
	}
	defer l.drop()
	if status != wire.OK {
		return nil, &StatusError{from, status}
	}
	data, err := io.ReadAll(io.LimitReader(l, int64(wire.AnswersSizeMax)+1))
	if err != nil {
		return nil, fmt.Errorf("read answers to a survey: %w", err)
	}
	d.replica.counts.bytes.Add(l.in)
	return wire.DecodeAnswers(data, len(ranges))
}

// tellRanges answers a survey.
func (d *Doc) tellRanges(ctx context.Context, l *line, ranges []reconcile.Range) error {
	r := d.replica
	select {
	case r.surveys <- struct{}{}:
		defer func() { <-r.surveys }()
	default:
		r.reply(l, wire.Busy)
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, l.end)
	defer cancel()
	set, err := d.set(ctx)
	if err != nil {
		return err
	}
	answer := []byte{byte(wire.OK)}
	for _, q := range ranges {
		answer = wire.AppendAnswer(answer, set.Answer(q))
	}
	_, err = l.Write(answer)
	return err
}
