package main

// notes say how each row was measured, and what is not alike. They stand below the table.
const notes = `- Each repetition is a process of its own, all sides in turn. It does the work for 0.3 s, once at least, to
  warm up, and then for 0.3 s again, once at least; the median of the latter counts, which is kind to
  compilers that learn: the last column is about the very first time. Texts are compared with the trace's, and
  keys are looked up one by one: a row in which anything is missing fails.
- p2pnode hashes and signs its commits. Automerge hashes its changes, and go-ds-crdt its blocks; nobody else
  signs anything. "In memory" are edits in commits as large as they can be. "Signed, and on disk" is a
  document of a node without network, with a window of 10 ms: up to 8,192 edits are not acknowledged yet, and
  the time ends when all are in the synced database. The others keep nothing on disk. Each edit is a
  transaction of its own (in Yjs ` + "`transact`, in Loro `commit`, in Automerge `change`" + `), and nobody
  listens to updates.
- To load, p2pnode reads the document from the database of a node that has just been opened; the others have
  the bytes in memory: Loro a snapshot, Yjs an update in either encoding, Automerge what it saves.
- Whole histories are, of p2pnode, a bundle as a peer sends it, of commits of 100 edits, in which every hash and
  the signatures are checked; of Loro, one export of updates; of Yjs, one update, without deleted text; of
  Automerge, what it saves. Of what two have typed at once, p2pnode has a commit for whatever one of them typed
  before the other one saw it, with a signature wherever one follows the other.
- Bytes are those of what was typed one transaction an edit; p2pnode's commits have 100 edits, except where it
  says otherwise. In the database are keys and values. What Yjs saves is without deleted text.
- Memory is what is in use after a garbage collection, beside what was in use before the document was loaded:
  of p2pnode Go's HeapAlloc, of Yjs heapUsed and external (of which arrayBuffers are a part). Loro and Automerge
  live in WebAssembly, of which only what the process takes more can be told, RSS, in steps of pages and more;
  no goal is about them. Of libraries in Node.js it is a tenth of what ten documents take.
- Commits are caught up with over a network in memory, in virtual time: round trips count, computing does not.
  Each put was a commit. Both sides are connected; go-ds-crdt is handed the announcement of the head at once, and
  fetches with boxo's bitswap; p2pnode pulls from the peer.
- Puts are values of 64 bytes under new keys; each writer waits for one to be acknowledged before the next. Both
  have go-ds-badger4 with the options of a node's state, synced or not, and go-ds-crdt its blocks in there too.
  p2pnode signs each commit, and makes one of all that wait. Batches are go-ds-crdt's, each of 64 puts that
  somebody has collected.
`
