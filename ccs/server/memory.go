package server

import (
	"cmp"
	"errors"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// MinMemoryBudget is the least that Config.MemoryBudget may be: a few connections with large messages fit into it.
const MinMemoryBudget = 16 << 20

// unknownMemory is taken for the machine's memory where the system does not say how much that is.
const unknownMemory = 1 << 30

// memoryBudget is Config.MemoryBudget, or its default: a quarter of the memory of the machine, or of what the cgroup
// may use where that is less.
func memoryBudget(conf Config) int64 {
	machine, err := memlimit.FromSystem()
	if err != nil || machine == 0 {
		machine = unknownMemory
	}
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 {
		machine = min(machine, limit)
	}
	return cmp.Or(conf.MemoryBudget, max(int64(machine/4), MinMemoryBudget))
}

func checkMemoryBudget(n int64) error {
	if n != 0 && n < MinMemoryBudget {
		return errors.New("less than 16MiB")
	}
	return nil
}
