package crdt_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// shelf is where a program keeps the blocks of a document.
type shelf map[commit.ID]block.Block

func (s shelf) Block(id commit.ID) (block.Block, error) {
	b, ok := s[id]
	if !ok {
		return b, block.ErrNotFound
	}
	return b, nil
}

// Two people write down what to buy, and neither knows what the other does.
func Example() {
	ann, bob := key(1), key(2)
	members := map[commit.Author]commit.Role{commit.AuthorOf(bob): commit.Write}
	first, root, err := crdt.Create(ann, crdt.Genesis{Members: members})
	if err != nil {
		fmt.Println(err)
		return
	}
	blocks := []block.Block{first}
	heads := []crdt.Head{root}
	for _, person := range []struct {
		key  ed25519.PrivateKey
		item string
	}{{ann, "milk"}, {bob, "bread"}} {
		doc := crdt.New(root.ID, commit.AuthorOf(person.key), shelf{root.ID: first})
		if _, err := doc.Apply(blocks[:1], heads[:1]); err != nil {
			fmt.Println(err)
		}
		if err := doc.Update(func(tx *crdt.Tx) error {
			tx.Members("shopping").Add(person.item)
			tx.Counter("items").Add(1)
			return nil
		}); err != nil {
			fmt.Println(err)
		}
		b, head, err := doc.Seal(person.key, 0)
		if err != nil {
			fmt.Println(err)
		}
		blocks, heads = append(blocks, b), append(heads, head)
	}
	reader := crdt.New(root.ID, commit.Author{}, shelf{})
	report, err := reader.Apply(blocks, heads)
	if err != nil {
		fmt.Println(err)
	}
	text, err := json.Marshal(reader.View())
	fmt.Println(len(report.Applied), string(text), err)
	// Output: 3 {"items":2,"shopping":["milk","bread"]} <nil>
}
