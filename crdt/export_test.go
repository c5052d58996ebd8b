package crdt

// Room tells how many commits wait, and for how many there is room.
func (d *Doc) Room() (waits, room int) {
	return len(d.waiting.commits), max(d.waiting.peak, cap(d.waiting.order))
}
