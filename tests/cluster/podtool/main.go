// Command podtool is what pods of the tests run, without libraries, so that it runs in an image that has nothing else:
//
//	podtool pause               hold the namespaces of a pod open, and reap what its containers leave
//	podtool get URL SECONDS     print what a server answers; try for so long
//	podtool serve ADDRESS TEXT  answer every request with the text
//
// Not busybox's own: Debian's, linked statically with glibc, crashes when it looks up a name.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	var err error
	switch words := append(os.Args[1:], "", "", ""); words[0] {
	case "pause":
		pause()
	case "get":
		err = get(words[1], words[2])
	case "serve":
		err = http.ListenAndServe(words[1], http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(answer, words[2])
		}))
	default:
		err = fmt.Errorf("usage: podtool pause | get URL SECONDS | serve ADDRESS TEXT")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func get(url string, wanted string) error {
	seconds, err := strconv.Atoi(wanted)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	client := http.Client{Timeout: 2 * time.Second}
	for {
		answer, err := client.Get(url)
		if err == nil {
			_, err = io.Copy(os.Stdout, answer.Body)
			return err
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(300 * time.Millisecond)
	}
}
