//go:build !linux

package fs

func (f *osFile) Datasync() error                                  { return f.Sync() }
func (f *osFile) Preallocate(size int64) error                     { return extend(f.File, size) }
func (f *osFile) WriteVAt(bufs [][]byte, off int64) (int64, error) { return writeVSerial(f, bufs, off) }
