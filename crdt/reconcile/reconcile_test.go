package reconcile_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/reconcile"
)

// commits are n, about three of each gen.
func commits(rng *rand.Rand, n int) []reconcile.Commit {
	list := make([]reconcile.Commit, n)
	for i := range list {
		list[i].Gen = uint64(1 + i/3)
		for j := range 4 {
			binary.LittleEndian.PutUint64(list[i].ID[8*j:], rng.Uint64())
		}
	}
	return list
}

func sorted(ids []commit.ID) []commit.ID {
	slices.SortFunc(ids, commit.ID.Compare)
	return ids
}

// ask lets a survey of one set ask another, and counts rounds and ranges.
func ask(t testing.TB, own, other []reconcile.Commit) (lacks []commit.ID, rounds, ranges int) {
	t.Helper()
	s, o := reconcile.NewSurvey(reconcile.NewSet(own)), reconcile.NewSet(other)
	for {
		questions := s.Questions()
		if len(questions) == 0 {
			return sorted(s.Lacks()), rounds, ranges
		}
		if len(questions) > reconcile.RangesMax {
			t.Fatalf("%d questions", len(questions))
		}
		rounds, ranges = rounds+1, ranges+len(questions)
		var answers []reconcile.Answer
		for _, q := range questions {
			a := o.Answer(q)
			if len(a.Prefixes) > reconcile.ListMax || len(a.Parts) > reconcile.PartsMax {
				t.Fatalf("answer of %d prefixes and %d parts", len(a.Prefixes), len(a.Parts))
			}
			answers = append(answers, a)
		}
		if err := s.Take(answers); err != nil {
			t.Fatal(err)
		}
	}
}

// A survey finds exactly what the other lacks, whatever both have.
func TestSurvey(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var own, other []reconcile.Commit
		var want []commit.ID
		alone, shared := rng.Float64()*rng.Float64(), rng.IntN(2) > 0
		for _, k := range commits(rng, rng.IntN(3000)) {
			switch {
			case rng.Float64() >= alone && shared:
				own, other = append(own, k), append(other, k)
			case rng.IntN(2) > 0:
				own, want = append(own, k), append(want, k.ID)
			default:
				other = append(other, k)
			}
		}
		rng.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
		if got, _, _ := ask(t, own, other); !slices.Equal(got, sorted(want)) {
			t.Fatalf("seed %d: of %d and %d, found %d that the other lacks, not %d", seed, len(own), len(other), len(got), len(want))
		}
	}
}

// What is asked is in proportion to the differences and to the logarithm of the rest.
func TestQuestionsAreFew(t *testing.T) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for _, d := range []int{0, 1, 10, 100} {
			rng := rand.New(rand.NewPCG(uint64(n), uint64(d)))
			own := commits(rng, n)
			_, rounds, _ := ask(t, own, slices.Clone(own[:len(own)-d]))
			if levels := 2 + int(math.Log(float64(n)/reconcile.ListMax)/math.Log(reconcile.PartsMax)); rounds > levels {
				t.Errorf("%d at the end of %d: %d rounds", d, n, rounds)
			}
			rng.Shuffle(n, func(i, j int) { own[i], own[j] = own[j], own[i] })
			_, rounds, ranges := ask(t, own, slices.Clone(own[d:]))
			if most := 1 + 4*d; ranges > most || rounds > 5 {
				t.Errorf("%d of %d: %d ranges in %d rounds, more than %d", d, n, ranges, rounds, most)
			}
		}
	}
}

// IDs that begin alike, which somebody has made on purpose, hide nothing else.
func TestAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	own := commits(rng, 300)
	for i := range 200 {
		c := reconcile.Commit{Gen: 50}
		c.ID[31] = byte(i)
		own = append(own, c)
	}
	want := []commit.ID{own[7].ID, own[170].ID}
	other := slices.DeleteFunc(slices.Clone(own), func(c reconcile.Commit) bool { return slices.Contains(want, c.ID) })
	if got, _, _ := ask(t, own, other); !slices.Equal(got, sorted(want)) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Answers that nobody who is honest gives are refused.
func TestMalformedAnswers(t *testing.T) {
	own := commits(rand.New(rand.NewPCG(1, 1)), 1000)
	honest := reconcile.NewSet(slices.Clone(own[:500])).Answer(reconcile.NewSurvey(reconcile.NewSet(own)).Questions()[0])
	change := func(f func(a *reconcile.Answer)) []reconcile.Answer {
		a := reconcile.Answer{Parts: slices.Clone(honest.Parts)}
		f(&a)
		return []reconcile.Answer{a}
	}
	for name, answers := range map[string][]reconcile.Answer{
		"none":      nil,
		"two":       {honest, honest},
		"one part":  change(func(a *reconcile.Answer) { a.Parts = a.Parts[len(a.Parts)-1:] }),
		"short":     change(func(a *reconcile.Answer) { a.Parts = a.Parts[:len(a.Parts)-1] }),
		"many":      change(func(a *reconcile.Answer) { a.Parts = append(slices.Clone(a.Parts[:1]), a.Parts...) }),
		"backwards": change(func(a *reconcile.Answer) { a.Parts[3], a.Parts[4] = a.Parts[4], a.Parts[3] }),
	} {
		if err := reconcile.NewSurvey(reconcile.NewSet(own)).Take(answers); !errors.Is(err, reconcile.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A liar who says of everything that it differs, and cuts off a little at a time, is given up.
func TestEndlessAnswers(t *testing.T) {
	own := reconcile.NewSet(commits(rand.New(rand.NewPCG(1, 1)), 1000))
	s := reconcile.NewSurvey(own)
	for range 100_000 {
		var answers []reconcile.Answer
		for _, q := range s.Questions() {
			near := q.From
			near.Prefix++
			answers = append(answers, reconcile.Answer{Parts: []reconcile.Part{{To: near}, {To: q.To}}})
		}
		if len(answers) == 0 {
			t.Fatal("the liar was believed")
		}
		if err := s.Take(answers); err != nil {
			if !errors.Is(err, reconcile.ErrEndless) {
				t.Errorf("got %v", err)
			}
			return
		}
	}
	t.Error("there is no end of questions")
}

// Anything at all as an answer ends in an error, or in a claim about what is one's own.
func FuzzSurvey(f *testing.F) {
	f.Add(uint64(1), []byte{0, 3, 16, 2})
	f.Add(uint64(2), []byte{1, 1, 1, 1, 1})
	own := reconcile.NewSet(commits(rand.New(rand.NewPCG(1, 1)), 500))
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := reconcile.NewSurvey(own)
		for _, code := range script {
			var answers []reconcile.Answer
			for _, q := range s.Questions() {
				var a reconcile.Answer
				switch {
				case code == 0:
					a = own.Answer(q)
				case code < 16:
					a.Prefixes = make([]uint64, code)
				default:
					cuts := commits(rng, int(code%20))
					reconcile.NewSet(cuts)
					for _, c := range cuts {
						a.Parts = append(a.Parts, reconcile.Part{To: reconcile.Point{Gen: c.Gen, Prefix: uint64(c.ID[0])}})
					}
					a.Parts = append(a.Parts, reconcile.Part{To: q.To})
				}
				answers = append(answers, a)
			}
			if s.Take(answers) != nil {
				return
			}
		}
		seen := make(map[commit.ID]bool)
		for _, id := range s.Lacks() {
			if seen[id] {
				t.Fatalf("commit %s is lacked twice", id)
			}
			seen[id] = true
		}
	})
}

// Example finds the commit that somebody lacks.
func Example() {
	own := commits(rand.New(rand.NewPCG(1, 1)), 100)
	survey := reconcile.NewSurvey(reconcile.NewSet(own))
	other := reconcile.NewSet(slices.Clone(own[:99]))
	for questions := survey.Questions(); len(questions) > 0; questions = survey.Questions() {
		var answers []reconcile.Answer
		for _, q := range questions {
			answers = append(answers, other.Answer(q))
		}
		if err := survey.Take(answers); err != nil {
			panic(err)
		}
	}
	fmt.Println(len(survey.Lacks()))
	// Output: 1
}
