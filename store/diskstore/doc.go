// Package diskstore keeps everything on the disk.
package diskstore
