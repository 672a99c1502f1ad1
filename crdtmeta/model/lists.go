package model

import "slices"

// element is a live element of a list.
type element struct {
	place place
	value string
}

// list returns the live elements in their order.
func (k *Key) list() []element {
	var live []element
	for name, c := range k.cells[List] {
		if c.live() {
			live = append(live, element{k.places[name], c.value()})
		}
	}
	slices.SortFunc(live, func(a, b element) int { return a.place.compare(b.place) })
	return live
}

// values returns what a list shows, nil when it shows nothing.
func (k *Key) values() []string {
	var values []string
	for _, e := range k.list() {
		values = append(values, e.value)
	}
	return values
}

// element is the cell of a place.
func (k *Key) element(p place) *Cell {
	k.places[p.key()] = p
	return k.cell(List, p.key())
}

// removeSeenElements removes the elements that ctx has seen made. What LSET writes does not keep one alive: who has not seen
// an element made has not seen its value set either, and who has seen it made removes it with any value.
func (k *Key) removeSeenElements(ctx context) {
	for name, c := range k.cells[List] {
		if ctx.seen(k.places[name].made()) {
			c.writes = nil
		}
	}
}

func (k *Key) mergeInsert(ctx context, e Effect) {
	for i, value := range e.Values {
		k.element(e.base.child(ctx.self, i)).add(ctx.self, value)
	}
}

func (k *Key) mergeSet(ctx context, e Effect) {
	if c := k.element(e.places[0]); c.live() {
		c.removeSeen(ctx)
		c.add(ctx.self, e.Value)
	}
}

func (k *Key) mergeTakeOut(e Effect) {
	for _, p := range e.places {
		k.element(p).writes = nil
	}
}

// open returns the elements of a list.
func (c *call) open(key string) ([]element, error) {
	k, right := c.typed(key, List)
	if !right {
		return nil, wrongType
	}
	return k.list(), nil
}

func (c *call) insert(key string, b base, values ...string) {
	c.create(Effect{Kind: Insert, Key: key, Type: List, base: b, Values: values})
}

func (c *call) takeOut(key string, gone []element) {
	if len(gone) == 0 {
		return
	}
	e := Effect{Kind: TakeOut, Key: key, Type: List}
	for _, g := range gone {
		e.places = append(e.places, g.place)
	}
	c.emit(e)
}

func (c *call) push(args []string, b base, onlyIfThere bool) any {
	list, failure := c.open(args[0])
	if failure != nil {
		return failure
	}
	if onlyIfThere && len(list) == 0 {
		return int64(0)
	}
	c.insert(args[0], b, args[1:]...)
	return int64(len(list) + len(args) - 1)
}

func lpush(c *call, args []string) any  { return c.push(args, atFront, false) }
func rpush(c *call, args []string) any  { return c.push(args, atEnd, false) }
func lpushx(c *call, args []string) any { return c.push(args, atFront, true) }
func rpushx(c *call, args []string) any { return c.push(args, atEnd, true) }

// taken splits count elements off one end; those of the right end come last first, as RPOP answers them.
func taken(list []element, fromLeft bool, count int) []element {
	count = min(count, len(list))
	if fromLeft {
		return slices.Clone(list[:count])
	}
	gone := slices.Clone(list[len(list)-count:])
	slices.Reverse(gone)
	return gone
}

func bulks(list []element) []any {
	replies := make([]any, len(list))
	for i, e := range list {
		replies[i] = e.value
	}
	return replies
}

func (c *call) pop(args []string, fromLeft bool) any {
	count, counted := int64(1), len(args) > 1
	if counted {
		count, _ = parseInteger(args[1])
	}
	list, failure := c.open(args[0])
	switch {
	case failure != nil:
		return failure
	case len(list) == 0:
		return nil
	}
	gone := taken(list, fromLeft, int(count))
	c.takeOut(args[0], gone)
	if counted {
		return bulks(gone)
	}
	return gone[0].value
}

func lpop(c *call, args []string) any { return c.pop(args, true) }
func rpop(c *call, args []string) any { return c.pop(args, false) }

// lmpop is LMPOP numkeys key… LEFT|RIGHT [COUNT n].
func lmpop(c *call, args []string) any {
	number, _ := parseInteger(args[0])
	keys, fromLeft, count := args[1:1+number], args[1+number] == "LEFT", int64(1)
	if rest := args[2+number:]; len(rest) == 2 {
		count, _ = parseInteger(rest[1])
	}
	for _, key := range keys {
		list, failure := c.open(key)
		if failure != nil {
			return failure
		}
		if len(list) > 0 {
			gone := taken(list, fromLeft, int(count))
			c.takeOut(key, gone)
			return []any{key, bulks(gone)}
		}
	}
	return nil
}

// move takes an element from one end and makes a new one at another. Where that changes nothing, nothing happens.
func (c *call) move(from, to string, fromLeft, toLeft bool) any {
	source, failure := c.open(from)
	if failure != nil {
		return failure
	}
	if len(source) == 0 {
		return nil
	}
	if _, failure := c.open(to); failure != nil {
		return failure
	}
	gone := taken(source, fromLeft, 1)
	if from == to && (len(source) == 1 || fromLeft == toLeft) {
		return gone[0].value
	}
	c.takeOut(from, gone)
	b := atEnd
	if toLeft {
		b = atFront
	}
	c.insert(to, b, gone[0].value)
	return gone[0].value
}

func lmove(c *call, args []string) any {
	return c.move(args[0], args[1], args[2] == "LEFT", args[3] == "LEFT")
}

func rpoplpush(c *call, args []string) any { return c.move(args[0], args[1], false, true) }

// linsert is LINSERT key BEFORE|AFTER pivot value: a right child of the element before it or a left child of the one
// after it, whichever makes the shorter name.
func linsert(c *call, args []string) any {
	key, list, failure := args[0], []element(nil), error(nil)
	if list, failure = c.open(key); failure != nil {
		return failure
	}
	if len(list) == 0 {
		return int64(0)
	}
	at := slices.IndexFunc(list, func(e element) bool { return e.value == args[2] })
	if at < 0 {
		return int64(-1)
	}
	if args[1] == "AFTER" {
		at++
	}
	var b base
	switch {
	case at == 0:
		b = atFront
	case at == len(list):
		b = atEnd
	case list[at].place.size() < list[at-1].place.size():
		b = base{list[at].place, left}
	default:
		b = base{list[at-1].place, right}
	}
	c.insert(key, b, args[3])
	return int64(len(list) + 1)
}

func lset(c *call, args []string) any {
	list, failure := c.open(args[0])
	if failure != nil {
		return failure
	}
	at, _ := parseInteger(args[1])
	if at < 0 {
		at += int64(len(list))
	}
	switch {
	case len(list) == 0:
		return noSuchKey
	case at < 0 || at >= int64(len(list)):
		return Failure("ERR index out of range")
	}
	c.emit(Effect{Kind: SetElement, Key: args[0], Type: List, places: []place{list[at].place}, Value: args[2]})
	return ok
}

func lrem(c *call, args []string) any {
	list, failure := c.open(args[0])
	if failure != nil {
		return failure
	}
	count, _ := parseInteger(args[1])
	if count < 0 {
		slices.Reverse(list)
		count = -count
	}
	var gone []element
	for _, e := range list {
		if e.value == args[2] && (count == 0 || len(gone) < int(count)) {
			gone = append(gone, e)
		}
	}
	c.takeOut(args[0], gone)
	return int64(len(gone))
}

func ltrim(c *call, args []string) any {
	list, failure := c.open(args[0])
	if failure != nil {
		return failure
	}
	bound := func(text string) int {
		n, _ := parseInteger(text)
		if n < 0 {
			n += int64(len(list))
		}
		return int(n)
	}
	first, last := max(0, bound(args[1])), min(len(list)-1, bound(args[2]))
	if first > last {
		first, last = len(list), len(list)-1
	}
	c.takeOut(args[0], append(slices.Clone(list[:first]), list[last+1:]...))
	return ok
}
