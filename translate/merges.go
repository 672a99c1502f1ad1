package translate

// How concurrent uses of a command in several regions merge, in the words of docs/commands.md.
const (
	lastWriter            = "last writer wins"
	lastWriterLocalTest   = "last writer wins; the test is local, so it can succeed in two regions"
	wholeValue            = "last writer wins on the whole value"
	counter               = "counter: increments of all regions add up"
	overwrites            = "overwrites what it has seen, last writer wins"
	overwritesIfStored    = "a read; with a destination it overwrites what it has seen"
	observedDelete        = "removes what it has seen; a concurrent write survives"
	observedRemove        = "removes what it has seen; a concurrent add survives"
	popRemoves            = "removes what it has seen; two regions can pop the same member"
	longestTTL            = "the longest of concurrent TTLs wins"
	persistWins           = "wins over concurrent TTLs"
	fieldAddWins          = "add wins per field, last writer wins on the value"
	fieldAddWinsLocalTest = "as HSET; the test is local, so it can succeed in two regions"
	fieldCounter          = "counter per field: increments of all regions add up"
	addWins               = "add wins per member"
	moveMember            = "a removal of what it has seen and an add"
	scoreLastWriter       = "add wins per member, last writer wins on the score"
	scoreCounter          = "counter per member: increments of all regions add up"
	flushed               = "removes what it has seen in every region; concurrent writes survive"
	registers             = "what all regions add is joined; a concurrent removal of the key wins"
	withoutCompanions     = "the answer leaves out Anabranch's own keys"
	localReplicas         = "counts replicas of this region; CRDT WAIT counts regions"
	debugInside           = "only what shows the inside, and changes no data; DIGEST leaves out Anabranch's own keys"
	published             = "delivered in every region at most once, best effort"
)
