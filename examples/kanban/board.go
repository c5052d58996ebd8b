package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// Board is a document with a list "columns" of names and a map "cards", by ID, of maps with two
// registers: "title", and "place", which is the rank, a space and the column.
type Board struct{ doc *replica.Doc }

// Card is a card in a column.
type Card struct {
	ID, Title, Column string
	rank              string // cards of a column are in the order of rank, then ID
}

// Begin makes the columns.
func (b Board) Begin(ctx context.Context, columns ...string) error {
	_, err := b.doc.Update(ctx, func(tx *crdt.Tx) error {
		for i, name := range columns {
			tx.List("columns").Insert(i, name)
		}
		return nil
	})
	return err
}

// Title names a card, which need not have been there.
func (b Board) Title(ctx context.Context, id, title string) error {
	_, err := b.doc.Update(ctx, func(tx *crdt.Tx) error {
		tx.Map("cards").Map(id).Set("title", title)
		return nil
	})
	return err
}

// Move puts a card into a column, before the one that is at pos there now, or at the end.
func (b Board) Move(ctx context.Context, id, column string, pos int) error {
	cards, err := b.Cards(ctx)
	if err != nil {
		return err
	}
	cards = slices.DeleteFunc(cards, func(c Card) bool { return c.Column != column || c.ID == id })
	before, after := "", ""
	if pos = min(pos, len(cards)); pos > 0 {
		before = cards[pos-1].rank
	}
	if pos < len(cards) {
		after = cards[pos].rank
	}
	_, err = b.doc.Update(ctx, func(tx *crdt.Tx) error {
		tx.Map("cards").Map(id).Set("place", between(before, after)+" "+column)
		return nil
	})
	return err
}

// Cards are all that have a place, in the order of their rank.
func (b Board) Cards(ctx context.Context) ([]Card, error) {
	v, _, err := b.doc.Get(ctx, "cards")
	all, _ := v.(map[string]any)
	var cards []Card
	for id, v := range all {
		fields, _ := v.(map[string]any)
		title, _ := fields["title"].(string)
		place, _ := fields["place"].(string)
		if rank, column, ok := strings.Cut(place, " "); ok {
			cards = append(cards, Card{id, title, column, rank})
		}
	}
	slices.SortFunc(cards, func(a, b Card) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.ID, b.ID))
	})
	return cards, err
}

// Show is the board as text, a line for each column.
func (b Board) Show(ctx context.Context) (string, error) {
	cards, err := b.Cards(ctx)
	if err != nil {
		return "", err
	}
	v, _, err := b.doc.Get(ctx, "columns")
	columns, _ := v.([]any)
	var text strings.Builder
	for _, name := range columns {
		var titles []string
		for _, c := range cards {
			if c.Column == name {
				titles = append(titles, c.Title)
			}
		}
		fmt.Fprintf(&text, "  %-6v %s\n", name, strings.Join(titles, ", "))
	}
	return text.String(), err
}

// between is a rank after a and before b: letters, of which there is always room for one more.
// "" is before and after all. If two people put cards into the same gap at the same time, the
// ranks are equal, and the IDs decide.
func between(a, b string) string {
	var rank []byte
	for i := 0; ; i++ {
		low, high := byte('a'), byte('z'+1)
		if i < len(a) {
			low = a[i]
		}
		if i < len(b) {
			high = b[i]
		}
		if high > low+1 {
			return string(append(rank, low+(high-low)/2))
		}
		rank = append(rank, low)
		if high > low {
			b = "" // it is before b already
		}
	}
}
