package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// atOnce is how many targets of a service are looked up at the same time.
const atOnce = 8

// hosts returns the addresses of a name, each with port. A name that nobody knows has none: its nodes may be about to
// start.
func (f *Finder) hosts(ctx context.Context, name, port string) ([]string, error) {
	ips, err := f.resolver.LookupNetIP(ctx, "ip", name)
	if unknown(err) {
		return nil, errors.New("the name has no addresses yet")
	}
	if err != nil {
		return nil, lookupError(err)
	}
	var addrs []string
	for _, ip := range ips {
		addrs = union(addrs, []string{net.JoinHostPort(ip.Unmap().String(), port)})
	}
	return addrs, nil
}

// services returns the addresses of those that the SRV records of a name point to. Where some of them have no addresses
// the others are returned beside the error.
func (f *Finder) services(ctx context.Context, name string) ([]string, error) {
	_, records, err := f.resolver.LookupSRV(ctx, "", "", name)
	if unknown(err) {
		return nil, errors.New("the name has no SRV records yet")
	}
	if err != nil && len(records) == 0 {
		return nil, lookupError(err)
	}
	records = records[:min(len(records), Most)]
	found, errs := make([][]string, len(records)), make([]error, len(records))
	var tasks sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for i, r := range records {
		turns <- struct{}{}
		tasks.Go(func() {
			found[i], errs[i] = f.hosts(ctx, strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
			<-turns
		})
	}
	tasks.Wait()
	var addrs []string
	for _, some := range found {
		addrs = union(addrs, some)
	}
	if len(addrs) > 0 || len(records) == 0 {
		return addrs, nil // of pods that have just gone no address is left
	}
	return nil, fmt.Errorf("none of the %d hosts of its records has an address: %w", len(records), errs[0])
}

// unknown says whether err means that DNS knows no such name, or no such records of it.
func unknown(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// lookupError returns err without the name, which whoever looked it up tells.
func lookupError(err error) error {
	var e *net.DNSError
	switch {
	case !errors.As(err, &e):
		return err
	case e.IsTimeout:
		return errors.New("the name server does not answer in time")
	}
	return errors.New("the name server says: " + e.Err)
}
