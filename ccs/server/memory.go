package server

import (
	"cmp"
	"errors"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// MinMemoryBudget is the minimum of Config.MemoryBudget, in bytes. It has room for a few
// connections with large messages.
const MinMemoryBudget = 16 << 20

// unknownMemory is the assumed memory of the machine, in bytes, if the system does not report it.
const unknownMemory = 1 << 30

// memoryBudget returns Config.MemoryBudget or its default. The default is a quarter of the memory
// of the machine, or of the cgroup's limit if that is less.
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
