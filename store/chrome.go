package store

import (
	"context"
	"time"
)

// App is an app of GCM for Chrome, an extension for example, that a project may send to (CCS 7.3).
type App struct {
	ID      string // the extension's ID; not empty, without NUL
	Sender  string // the project's sender ID
	Created time.Time
}

// Apps keeps the apps of projects. An app belongs to one project, and does not outlive it.
type Apps interface {
	// AddApp keeps an app. It returns ErrExists if a project has it, ErrNotFound if the project
	// does not exist.
	AddApp(ctx context.Context, a *App) error
	// App returns an app, or ErrNotFound.
	App(ctx context.Context, id string) (*App, error)
	// Apps lists the apps of a sender, by ID; none for an unknown sender.
	Apps(ctx context.Context, sender string) ([]*App, error)
	// RemoveApp forgets an app. It returns ErrNotFound if the sender has no such app.
	RemoveApp(ctx context.Context, sender, id string) error
}

// Channel is an instance of an app: the device on which a user has it (CCS 7.5). Messages for the
// instance are in the queue of the device.
type Channel struct {
	User   string // in decimal; not empty, without NUL
	App    string // the app's ID; not empty, without NUL
	Device uint64
	Since  time.Time // to the microsecond
}

// Channels keeps the instances of apps, and the users. A user stays known without an instance.
type Channels interface {
	// AddUser makes a user known. A user that is known already is no error.
	AddUser(ctx context.Context, user string) error
	// AddChannel keeps an instance and makes its user known. One that is there keeps its time.
	AddChannel(ctx context.Context, c *Channel) error
	// RemoveChannel forgets an instance. A missing one is no error.
	RemoveChannel(ctx context.Context, c *Channel) error
	// ChannelDevices appends the devices on which a user has an app to dst, in ascending order. It
	// returns ErrNotFound for an unknown user.
	ChannelDevices(ctx context.Context, dst []uint64, user, app string) ([]uint64, error)
	// DeviceChannels lists the instances on a device, by user and app.
	DeviceChannels(ctx context.Context, device uint64) ([]*Channel, error)
}

// DailyCount is the number of messages that a sender has sent on a day.
type DailyCount struct {
	Sender string
	Day    int64 // days since 1970, UTC
	Count  int
}

// DailyCounts counts the messages of senders by the day (CCS 7.3). It knows one day of each sender.
type DailyCounts interface {
	// CountDaily adds n to the count of a sender on a day, unless the sum would exceed max. Then it
	// changes nothing, and ok is false. A count of an earlier day is forgotten. A count of a later
	// day is not, because the clocks of two nodes may differ: that count is used. A negative n
	// takes messages back. Where ok is true, wait returns when the new count survives kill -9; a
	// caller that puts messages before it waits shares their sync. The caller must call wait.
	CountDaily(ctx context.Context, sender string, day int64, n, max int) (ok bool, wait func() error, err error)
	// DailyCount returns the count of a sender; zero values if nothing was counted.
	DailyCount(ctx context.Context, sender string) (DailyCount, error)
	// PutDailyCount sets a count, unless the store has a later day or a higher count of the same
	// day.
	PutDailyCount(ctx context.Context, c DailyCount) error
}

// Advance returns the count after n more messages on a day, and whether it is within max. It is the
// rule of CountDaily for engines.
func (c DailyCount) Advance(day int64, n, max int) (DailyCount, bool) {
	if day > c.Day {
		c.Day, c.Count = day, 0
	}
	if n > 0 && c.Count+n > max {
		return c, false
	}
	c.Count += n
	if c.Count < 0 {
		c.Count = 0
	}
	return c, true
}

// Before reports whether o is of a later day, or of the same day and higher.
func (c DailyCount) Before(o DailyCount) bool {
	return c.Day < o.Day || c.Day == o.Day && c.Count < o.Count
}
