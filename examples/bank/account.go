package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// ErrFunds means a withdrawal of more than there is, as far as this node knows.
var ErrFunds = errors.New("not enough in the account")

// Account is a document with a counter "balance", to which deposits and withdrawals add, and a
// map "reversed" of the amounts of withdrawals that were taken back, by the ID of their entry.
// It is used by one at a time.
type Account struct {
	docs *replica.Replica
	doc  *replica.Doc
}

// Deposit adds to the account.
func (a Account) Deposit(ctx context.Context, amount int64) error {
	_, err := a.doc.Update(ctx, func(tx *crdt.Tx) error { tx.Counter("balance").Add(amount); return nil })
	return err
}

// Withdraw takes from the account, or returns ErrFunds. It knows what this node knows.
func (a Account) Withdraw(ctx context.Context, amount int64) error {
	have, err := a.Balance(ctx)
	if err != nil {
		return err
	}
	if have < amount {
		return fmt.Errorf("withdraw %d of %d: %w", amount, have, ErrFunds)
	}
	return a.Deposit(ctx, -amount)
}

// Balance is what the document has made of its history.
func (a Account) Balance(ctx context.Context) (int64, error) {
	view, err := a.doc.View(ctx)
	balance, _ := view["balance"].(int64)
	reversed, _ := view["reversed"].(map[string]any)
	for _, v := range reversed {
		amount, _ := v.(int64)
		balance += amount
	}
	return balance, err
}

// BalanceAt is what the balance was in a version, which doc.Heads has named.
func (a Account) BalanceAt(ctx context.Context, version []commit.ID) (int64, error) {
	log, err := a.Log(ctx, version)
	balance, reversed := int64(0), make(map[string]bool)
	for _, e := range log {
		if e.Reverses == "" || !reversed[e.Reverses] {
			balance += e.Amount
		}
		reversed[e.Reverses] = true // who takes the same back again changes nothing
	}
	return balance, err
}

// Settle takes back each withdrawal that, in the order of the log, has found too little. It can
// be repeated. But two who settle at the same time and know different logs might take back more
// than they must: so it is for one, the bank, to do.
func (a Account) Settle(ctx context.Context) error {
	version, err := a.doc.Heads(ctx)
	if err != nil {
		return err
	}
	log, err := a.Log(ctx, version)
	if err != nil {
		return err
	}
	reversed := make(map[string]bool)
	for _, e := range log {
		reversed[e.Reverses] = true
	}
	have, bounced := int64(0), make(map[string]int64)
	for _, e := range log {
		switch {
		case e.Reverses != "" || reversed[e.ID]: // one makes up for the other
		case have+e.Amount < 0:
			bounced[e.ID] = -e.Amount
		default:
			have += e.Amount
		}
	}
	_, err = a.doc.Update(ctx, func(tx *crdt.Tx) error {
		for id, amount := range bounced {
			tx.Map("reversed").Set(id, amount)
		}
		return nil
	})
	return err
}
