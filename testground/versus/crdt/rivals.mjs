// The libraries that p2pnode's documents are measured against. Each run is a process:
//
//	node --expose-gc rivals.mjs LIBRARY TASK TRACE FOLDER
//
// and prints one line of JSON: the median seconds of a task, or sizes in bytes, and the hash of
// the text that came of it. child.go does the same with p2pnode.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'

const minimum = 0.3 // seconds of warming up, and then of measuring, at least

// A library makes documents, types into them, and says what they are as text. send types and
// returns the bytes that others need, receive takes such bytes; both return the document too,
// which in Automerge is another one each time. Of what is typed at one place at once, what the
// agent with the lower number has typed must come first, as it did when the trace was made; so
// make numbers documents, if it is given a number.
const libraries = {
  async yjs(version = 'V1') {
    const Y = await import('yjs')
    const [encode, apply, event] = version === 'V2'
      ? [Y.encodeStateAsUpdateV2, Y.applyUpdateV2, 'updateV2']
      : [Y.encodeStateAsUpdate, Y.applyUpdate, 'update']
    const load = bytes => { const doc = new Y.Doc(); apply(doc, bytes); return doc }
    const edit = (doc, patches) => {
      const text = doc.getText('t')
      doc.transact(() => {
        for (const [at, deleted, inserted] of patches) {
          if (deleted) text.delete(at, deleted)
          if (inserted) text.insert(at, inserted)
        }
      })
      return doc
    }
    return {
      make(agent) {
        const doc = new Y.Doc()
        if (agent !== undefined) doc.clientID = agent + 1
        return doc
      },
      edit, load, save: encode, pull: load, push: encode,
      text: doc => doc.getText('t').toString(),
      send(doc, patches) {
        let update
        doc.once(event, u => { update = u })
        edit(doc, patches)
        return [doc, update]
      },
      receive(doc, updates) { for (const u of updates) apply(doc, u); return doc },
      free: doc => doc.destroy(),
    }
  },
  yjs2: () => libraries.yjs('V2'),
  async loro() {
    const { LoroDoc } = await import('loro-crdt')
    const edit = (doc, patches) => {
      const text = doc.getText('t')
      for (const [at, deleted, inserted] of patches) {
        if (deleted) text.delete(at, deleted)
        if (inserted) text.insert(at, inserted)
      }
      doc.commit()
      return doc
    }
    return {
      make(agent) {
        const doc = new LoroDoc()
        if (agent !== undefined) doc.setPeerId(agent + 1)
        return doc
      },
      edit,
      load: bytes => LoroDoc.fromSnapshot(bytes),
      save: doc => doc.export({ mode: 'snapshot' }),
      pull(bytes) { const doc = new LoroDoc(); doc.import(bytes); return doc },
      push: doc => doc.export({ mode: 'update' }),
      text: doc => doc.getText('t').toString(),
      send(doc, patches) {
        const before = doc.version()
        edit(doc, patches)
        return [doc, doc.export({ mode: 'update', from: before })]
      },
      receive(doc, updates) { if (updates.length) doc.importBatch(updates); return doc },
      free: doc => doc.free(),
    }
  },
  async automerge() {
    const A = await import('@automerge/automerge')
    const edit = (doc, patches) => A.change(doc, d => {
      for (const [at, deleted, inserted] of patches) A.splice(d, ['t'], at, deleted, inserted)
    })
    const beginning = A.save(A.from({ t: '' }, '00')) // all have the same text object
    return {
      make: () => A.load(beginning), edit,
      load: bytes => A.load(bytes),
      save: doc => A.save(doc),
      pull: bytes => A.loadIncremental(A.init(), bytes),
      push: doc => A.save(doc),
      text: doc => doc.t,
      send(doc, patches) { doc = edit(doc, patches); return [doc, A.getLastLocalChange(doc)] },
      receive: (doc, updates) => updates.length ? A.applyChanges(doc, updates)[0] : doc,
      free: doc => A.free(doc),
    }
  },
}

// type makes each transaction of a sequential trace one of the library's.
function type(lib, trace) {
  let doc = lib.make()
  for (const txn of trace.txns) doc = lib.edit(doc, txn.patches)
  return doc
}

// replay has each agent type what it typed, having seen what it had seen, and returns a document
// that has seen everything.
function replay(lib, trace) {
  const docs = [], seen = [], updates = []
  for (let a = 0; a < trace.numAgents; a++) {
    docs.push(lib.make(a))
    seen.push(new Uint8Array(trace.txns.length))
  }
  const see = (agent, versions) => {
    const lacks = [], stack = [...versions]
    while (stack.length) {
      const v = stack.pop()
      if (seen[agent][v]) continue
      seen[agent][v] = 1
      lacks.push(v)
      stack.push(...trace.txns[v].parents)
    }
    docs[agent] = lib.receive(docs[agent], lacks.sort((x, y) => x - y).map(v => updates[v]))
  }
  trace.txns.forEach(({ agent, parents, patches }, i) => {
    see(agent, parents)
    ;[docs[agent], updates[i]] = lib.send(docs[agent], patches)
    seen[agent][i] = 1
  })
  see(0, trace.txns.keys())
  return docs[0]
}

const seconds = () => Number(process.hrtime.bigint()) / 1e9

// timed does the work for a while to warm up, then for a while again, and returns the median of
// the latter's times, and the very first one.
function timed(lib, work) {
  let text
  const once = () => {
    const start = seconds()
    const doc = work()
    text = lib.text(doc)
    const took = seconds() - start
    lib.free(doc)
    return took
  }
  const end = seconds() + minimum, first = once()
  while (seconds() < end) once()
  const times = []
  globalThis.gc()
  for (const end = seconds() + minimum; times.length === 0 || seconds() < end;) times.push(once())
  times.sort((x, y) => x - y)
  return { first, seconds: (times[(times.length - 1) >> 1] + times[times.length >> 1]) / 2, text: hash(text) }
}

const hash = text => createHash('sha256').update(text).digest('hex')

// memory is what a document takes once it is loaded, beside what the library takes by itself: a
// tenth of what ten take, because pages tell little of one.
function memory(lib, bytes) {
  const copies = 10
  lib.free(lib.load(bytes))
  const used = () => {
    for (let i = 0; i < 3; i++) globalThis.gc()
    const m = process.memoryUsage()
    return [m.heapUsed + m.external, m.rss] // arrayBuffers are in external
  }
  const before = used(), docs = []
  for (let i = 0; i < copies; i++) docs.push(lib.load(bytes))
  const texts = () => new Set(docs.map(doc => hash(lib.text(doc))))
  const text = [...texts()].join()
  const after = used()
  if ([...texts()].join() !== text) throw new Error('the documents have not been kept')
  const [heap, rss] = after.map((n, i) => Math.round((n - before[i]) / copies))
  return { heap, rss, text }
}

const [, , library, task, path, folder] = process.argv
const trace = () => JSON.parse(gunzipSync(readFileSync(path)))
const lib = await libraries[library]()
const file = kind => join(folder, `${library}-${basename(path, '.json.gz')}.${kind}`)
const tasks = {
  apply() { const t = trace(); return timed(lib, () => type(lib, t)) },
  save() {
    const t = trace(), doc = t.numAgents ? replay(lib, t) : type(lib, t), saved = lib.save(doc)
    writeFileSync(file('saved'), saved)
    writeFileSync(file('history'), lib.push(doc))
    return { bytes: saved.length, text: hash(lib.text(doc)) }
  },
  load() { const b = readFileSync(file('saved')); return timed(lib, () => lib.load(b)) },
  history() { const b = readFileSync(file('history')); return timed(lib, () => lib.pull(b)) },
  heap: () => memory(lib, readFileSync(file('saved'))),
}
console.log(JSON.stringify(tasks[task]()))
