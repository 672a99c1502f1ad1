package translate

// The functions here refine a row's plan by the command's arguments. They run after the arity check, and never for a
// refused command.

func sortDirection(plan Plan, args [][]byte) Plan {
	store, ok := scanSort(args)
	return direction(plan, ok && store == 0)
}

func radiusDirection(plan Plan, args [][]byte) Plan {
	return direction(plan, radiusOnlyReads(args, radiusOptions))
}

func radiusByMemberDirection(plan Plan, args [][]byte) Plan {
	return direction(plan, radiusOnlyReads(args, radiusByMemberOptions))
}

func bitfieldDirection(plan Plan, args [][]byte) Plan {
	return direction(plan, bitfieldOnlyReads(args))
}

// direction settles a read-or-write command. A read's reply comes raw from Redis and needs no shaping.
func direction(plan Plan, onlyReads bool) Plan {
	if onlyReads {
		plan.Class, plan.Shape, plan.DenyOOM = Read, ShapePlain, false
		return plan
	}
	plan.Class = Write
	return plan
}

func zaddShape(plan Plan, args [][]byte) Plan {
	if zaddIncrements(args) {
		plan.Shape = ShapeDouble
	}
	return plan
}

func spopShape(plan Plan, args [][]byte) Plan {
	if len(args) > 2 {
		plan.Shape = ShapeSet
	}
	return plan
}

func popShape(plan Plan, args [][]byte) Plan {
	if len(args) > 2 {
		plan.Shape = ShapeNullArray
	}
	return plan
}

func zpopShape(plan Plan, args [][]byte) Plan {
	if len(args) > 2 {
		plan.Shape = ShapeScorePairs
	}
	return plan
}

// xreadDirection lets an XREAD that does not wait pass as a read, and has the engine serve one that may.
func xreadDirection(plan Plan, args [][]byte) Plan {
	if !xreadWaits(args) {
		return plan
	}
	plan.Class, plan.Shape = Blocking, ShapeStreams
	return plan
}

// xreadgroupDirection has one that may wait queue in the proxy.
func xreadgroupDirection(plan Plan, args [][]byte) Plan {
	if xreadgroupWaits(args) {
		plan.Class = Blocking
	}
	return plan
}
