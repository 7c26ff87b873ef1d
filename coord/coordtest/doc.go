// Package coordtest runs coordinators inside a test: real ones, with a port of the system's choice and a directory of their own, or on
// a disk in memory whose power can be cut.
//
//	srv := coordtest.Start(t)                       // stopped when the test ends
//	zk.Connect([]string{srv.Address()}, …)
//	srv.Restart()                                   // clean stop, start on the same directory and the same port
//
//	disk := coordtest.NewDisk()
//	srv := coordtest.Start(t, coordtest.OnDisk(disk))
//	disk.Cut()
package coordtest
